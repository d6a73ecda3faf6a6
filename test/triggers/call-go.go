// SPDX-License-Identifier: Apache-2.0

// Command call-go DELAY_MS COUNT waits, then calls main.compute COUNT times from goroutines.
package main

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"
)

//go:noinline
func compute(number int) int {
	return number*number + 1
}

func main() {
	if len(os.Args) != 3 {
		os.Exit(2)
	}
	delayMs, _ := strconv.Atoi(os.Args[1])
	count, _ := strconv.Atoi(os.Args[2])
	time.Sleep(time.Duration(delayMs) * time.Millisecond)
	var group sync.WaitGroup
	for i := 0; i < count; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			_ = compute(i)
		}()
	}
	group.Wait()
	fmt.Printf("{\"pid\":%d}\n", os.Getpid())
}
