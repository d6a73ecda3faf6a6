// SPDX-License-Identifier: Apache-2.0

// Command tls-go SECONDS KEY CERTIFICATE runs a TLS echo server and eight clients of it for so long, and
// prints {"errors":N,"exchanges":N}: echoes that were not what was sent.
package main

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const clients = 8

// grow makes the stack of its goroutine move, which is what probes at Go's returns have crashed.
//
//go:noinline
func grow(depth int) byte {
	var room [512]byte
	if depth > 0 {
		room[depth%len(room)] = grow(depth - 1)
	}
	return room[0] + 1
}

func exchange(address string, end time.Time, errors, exchanges *atomic.Int64) {
	connection, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		errors.Add(1)
		return
	}
	defer connection.Close()
	sent, echo := bytes.Repeat([]byte("x"), 8192), make([]byte, 8192)
	for time.Now().Before(end) {
		grow(100)
		if _, err := connection.Write(sent); err != nil {
			errors.Add(1)
			return
		}
		if _, err := io.ReadFull(connection, echo); err != nil || !bytes.Equal(sent, echo) {
			errors.Add(1)
			return
		}
		exchanges.Add(1)
	}
}

func main() {
	if len(os.Args) != 4 {
		os.Exit(2)
	}
	seconds, _ := strconv.Atoi(os.Args[1])
	certificate, err := tls.LoadX509KeyPair(os.Args[3], os.Args[2])
	if err != nil {
		panic(err)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		panic(err)
	}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(connection, connection) }()
		}
	}()
	var errors, exchanges atomic.Int64
	var group sync.WaitGroup
	end := time.Now().Add(time.Duration(seconds) * time.Second)
	for range clients {
		group.Add(1)
		go func() {
			defer group.Done()
			for time.Now().Before(end) {
				exchange(listener.Addr().String(), end, &errors, &exchanges)
			}
		}()
	}
	group.Wait()
	fmt.Printf("{\"errors\":%d,\"exchanges\":%d}\n", errors.Load(), exchanges.Load())
}
