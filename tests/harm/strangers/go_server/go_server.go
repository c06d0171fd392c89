// go_server: a net/http server that reads a file for each request, with clients in the same process that verify
// every answer, and goroutines that compute and collect garbage. Built with cgo off and on (tag cgo: a C call too).
// Answers "check" on stdin as samples/self_check.h says.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	clients = 48
	pipes   = 16
)

var wrong, failed, interrupted uint64
var rounds [clients + pipes + 3]uint64
var first atomic.Value

func note(format string, arguments ...interface{}) {
	text := fmt.Sprintf(format, arguments...)
	first.CompareAndSwap(nil, strings.Map(func(r rune) rune {
		if r == '"' || r == '\\' || r < ' ' {
			return '\''
		}
		return r
	}, text))
}

func countError(err error) {
	if errors.Is(err, syscall.EINTR) {
		atomic.AddUint64(&interrupted, 1)
		return
	}
	atomic.AddUint64(&failed, 1)
	note("%v", err)
}

func get(client *http.Client, address, body string) {
	response, err := client.Get(address)
	if err != nil {
		countError(err)
		return
	}
	defer response.Body.Close()
	found, err := io.ReadAll(response.Body)
	if err != nil {
		countError(err)
	} else if response.StatusCode != 200 || string(found) != body {
		atomic.AddUint64(&wrong, 1)
		note("answer %d with %d bytes", response.StatusCode, len(found))
	}
}

// Garbage with checksums: each block must still hold what was written when it is dropped.
func churn(round *uint64) {
	table := crc64.MakeTable(crc64.ECMA)
	kept := make([][]byte, 256)
	sums := make([]uint64, len(kept))
	for number := uint64(0); ; number++ {
		at := number % uint64(len(kept))
		if kept[at] != nil && crc64.Checksum(kept[at], table) != sums[at] {
			atomic.AddUint64(&wrong, 1)
			note("block %d has changed", number)
		}
		block := make([]byte, 512+number%16384)
		for i := range block {
			block[i] = byte(number + uint64(i))
		}
		kept[at], sums[at] = block, crc64.Checksum(block, table)
		atomic.AddUint64(round, 1)
		time.Sleep(100 * time.Microsecond)
	}
}

// Deep stacks that grow and are copied.
func descend(depth int, value uint64) uint64 {
	var local [16]uint64
	for i := range local {
		local[i] = value + uint64(i)
	}
	if depth > 0 {
		value = descend(depth-1, value+1) - 1
	}
	for i := range local {
		if local[i] != value+uint64(i) {
			atomic.AddUint64(&wrong, 1)
			note("a word of a stack has changed")
		}
	}
	return value
}

func recurse(round *uint64) {
	for {
		done := make(chan uint64)
		go func() { done <- descend(200, 7) }()
		if <-done != 7 {
			atomic.AddUint64(&wrong, 1)
		}
		if err := callC(); err != nil {
			countError(err)
		}
		atomic.AddUint64(round, 1)
		time.Sleep(200 * time.Microsecond)
	}
}

// A blocking read outside the runtime's poller: the system call runs on the goroutine's stack of a few KiB, between
// other goroutines' stacks.
func readPipe(round *uint64) {
	var ends [2]int
	if err := syscall.Pipe(ends[:]); err != nil {
		countError(err)
		return
	}
	go func() {
		for number := byte(0); ; number++ {
			time.Sleep(2 * time.Millisecond)
			if _, err := syscall.Write(ends[1], []byte{number}); err != nil {
				countError(err)
			}
		}
	}()
	for expected := byte(0); ; {
		var local [1]byte
		count, err := syscall.Read(ends[0], local[:])
		if err == syscall.EINTR { // also by the runtime's own SIGURG
			continue
		}
		if err != nil {
			countError(err)
		} else if count != 1 || local[0] != expected {
			atomic.AddUint64(&wrong, 1)
			note("a pipe gave %d, not %d", local[0], expected)
		}
		expected++
		atomic.AddUint64(round, 1)
	}
}

func runChildren(round *uint64) {
	for {
		err := exec.Command("/bin/sh", "-c", "sleep 0.02; exit 3").Run()
		var status *exec.ExitError
		if !errors.As(err, &status) || status.ExitCode() != 3 {
			atomic.AddUint64(&failed, 1)
			note("a child: %v", err)
		}
		atomic.AddUint64(round, 1)
	}
}

func answer() {
	var before [len(rounds)]uint64
	for i := range rounds {
		before[i] = atomic.LoadUint64(&rounds[i])
	}
	stuck, sum := 0, uint64(0)
	deadline := time.Now().Add(30 * time.Second)
	for i := range rounds {
		for atomic.LoadUint64(&rounds[i]) == before[i] && time.Now().Before(deadline) {
			time.Sleep(time.Millisecond)
		}
		if atomic.LoadUint64(&rounds[i]) == before[i] {
			stuck++
		}
		sum += atomic.LoadUint64(&rounds[i])
	}
	text, _ := first.Load().(string)
	fmt.Printf("{\"rounds\":%d,\"stuck\":%d,\"wrong\":%d,\"failed\":%d,\"interrupted\":%d,\"first\":\"%s\"}\n", sum, stuck,
		atomic.LoadUint64(&wrong), atomic.LoadUint64(&failed), atomic.LoadUint64(&interrupted), text)
}

func main() {
	body := strings.Repeat("0123456789abcdef", 64)
	path := filepath.Join(os.Args[1], "go-body.txt")
	if err := os.WriteFile(path, []byte(body), 0600); err != nil {
		panic(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		data, err := os.ReadFile(path)
		if err != nil {
			countError(err)
		}
		writer.Write(data)
	}))
	for i := 0; i < clients; i++ {
		go func(i int) {
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: i == 0}}
			for {
				get(client, server.URL, body)
				atomic.AddUint64(&rounds[i], 1)
			}
		}(i)
	}
	go churn(&rounds[clients])
	go recurse(&rounds[clients+1])
	go runChildren(&rounds[clients+2])
	for i := 0; i < pipes; i++ {
		go readPipe(&rounds[clients+3+i])
	}
	fmt.Printf("READY {\"pid\":%d}\n", os.Getpid())
	for lines := bufio.NewScanner(os.Stdin); lines.Scan() && lines.Text() != "quit"; {
		answer()
	}
}
