// tasks.yield with goroutines on one processor.
package main

import (
	"fmt"
	"runtime"
	"sort"
	"sync"
	"syscall"
)

func cpu() float64 {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return float64(u.Utime.Nano() + u.Stime.Nano())
}

func main() {
	const slices, yields = 40, 250000
	runtime.GOMAXPROCS(1)
	var figures []float64
	last := cpu()
	for i := 0; i < slices; i++ {
		var wg sync.WaitGroup
		for j := 0; j < 2; j++ {
			wg.Add(1)
			go func() {
				for k := 0; k < yields/2; k++ {
					runtime.Gosched()
				}
				wg.Done()
			}()
		}
		wg.Wait()
		now := cpu()
		figures = append(figures, (now-last)/yields)
		last = now
	}
	sort.Float64s(figures)
	fmt.Printf("%.3f\n", figures[len(figures)/4])
}
