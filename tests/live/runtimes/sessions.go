// sessions: a Go program that keeps sessions, orders and buffers, and drops the latest two thirds of its buffers when told to. Its
// answers are what runtime.MemStats says after a collection; to give them it allocates nothing.
package main

import (
	"bufio"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
)

type Session struct {
	User    *string
	Headers map[string]string
	Next    *Session
	Numbers [4]int64
}

type Order struct {
	Lines [90]*int64
	Name  string
}

var (
	sessions     *Session
	sessionCount uint64
	orders       []*Order
	buffers      [][]byte
	large        []byte
	stats        runtime.MemStats
	output       [1 << 16]byte
	at           int
)

func step(count int) {
	for i := 0; i < count; i++ {
		name := "user " + strconv.Itoa(i)
		sessions = &Session{User: &name, Headers: map[string]string{name: name}, Next: sessions}
		sessionCount++
		if i%4 == 0 {
			orders = append(orders, &Order{Name: name})
		}
		buffer := make([]byte, 1+i%5000)
		for k := range buffer {
			buffer[k] = 1
		}
		buffers = append(buffers, buffer)
	}
}

func drop() {
	for i := len(buffers) / 3; i < len(buffers); i++ {
		buffers[i] = nil
	}
}

func text(value string) {
	at += copy(output[at:], value)
}

func number(name string, value uint64) {
	text(name)
	at = len(strconv.AppendUint(output[:at], value, 10))
}

func answer(prefix string) {
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&stats)
	at = 0
	text(prefix)
	number("{\"pid\":", uint64(pid))
	number(",\"heap_alloc\":", stats.HeapAlloc)
	number(",\"heap_inuse\":", stats.HeapInuse)
	number(",\"stack_inuse\":", stats.StackInuse)
	number(",\"sessions\":", sessionCount)
	number(",\"orders\":", uint64(len(orders)))
	text(",\"sizes\":{")
	for i := range stats.BySize {
		if i > 0 {
			text(",")
		}
		number("\"", uint64(stats.BySize[i].Size))
		number("\":", stats.BySize[i].Mallocs-stats.BySize[i].Frees)
	}
	text("}}\n")
	os.Stdout.Write(output[:at])
}

var pid = os.Getpid()

func main() {
	debug.SetGCPercent(-1)
	large = make([]byte, 5<<20)
	input := bufio.NewScanner(os.Stdin)
	answer("READY ")
	for input.Scan() {
		words := strings.Fields(input.Text())
		if len(words) == 0 || words[0] == "quit" {
			break
		}
		switch words[0] {
		case "step":
			count, _ := strconv.Atoi(words[1])
			step(count)
		case "drop":
			drop()
		case "free":
			debug.FreeOSMemory()
		}
		answer("")
	}
}
