//go:build !cgo

package main

func callC() error {
	return nil
}
