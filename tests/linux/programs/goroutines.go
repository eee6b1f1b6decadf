// Go: goroutines, channels, a garbage collector under load, timers and panics.
package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"runtime"
	"sort"
	"strings"
	"sync"
	"time"
)

type tree struct {
	left, right *tree
	value       int
}

func grow(depth int) *tree {
	if depth == 0 {
		return &tree{value: 1}
	}
	return &tree{grow(depth - 1), grow(depth - 1), depth}
}

func (node *tree) sum() int {
	if node == nil {
		return 0
	}
	return node.left.sum() + node.right.sum() + node.value
}

func main() {
	results := make(chan int)
	for worker := 0; worker < 100; worker++ {
		go func(worker int) {
			sum := 0
			for i := 0; i < 1000; i++ {
				sum += i * worker
				if i%100 == 0 {
					runtime.Gosched()
				}
			}
			results <- sum
		}(worker)
	}
	total := 0
	for worker := 0; worker < 100; worker++ {
		total += <-results
	}
	fmt.Println(total)

	// Garbage from several goroutines, with collections meanwhile.
	var group sync.WaitGroup
	sums := make([]int, 4)
	for worker := range sums {
		group.Add(1)
		go func(worker int) {
			defer group.Done()
			for round := 0; round < 10; round++ {
				sums[worker] += grow(12).sum()
			}
		}(worker)
	}
	group.Wait()
	runtime.GC()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	fmt.Println(sums, memory.NumGC > 0)

	words := strings.Fields(strings.Repeat("many words in a row ", 1000))
	sort.Strings(words)
	fmt.Printf("%x\n", sha256.Sum256([]byte(strings.Join(words, ","))))

	begin := time.Now()
	select {
	case <-results:
	case <-time.After(30 * time.Millisecond):
		fmt.Println("late", time.Since(begin) >= 30*time.Millisecond)
	}
	func() {
		defer func() { fmt.Println("recovered:", recover()) }()
		var nothing *tree
		fmt.Println(nothing.value)
	}()
	if err := os.WriteFile("/tmp/exo-goroutines", []byte("written"), 0o600); err != nil {
		fmt.Println(err)
	}
	text, err := os.ReadFile("/tmp/exo-goroutines")
	fmt.Println(string(text), err, os.Remove("/tmp/exo-goroutines"))
	os.Exit(5)
}
