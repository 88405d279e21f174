// The tasks gauges with goroutines on one processor. Usage: tasks GAUGE
//
// A scope is a context with a timeout.
package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sort"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const slices = 20

func cpu() float64 {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return float64(u.Utime.Nano() + u.Stime.Nano())
}

// measure does what measure.h does.
func measure(operations int, slice func()) {
	var figures []float64
	last := cpu()
	for i := 0; i < slices; i++ {
		slice()
		now := cpu()
		figures = append(figures, (now-last)/float64(operations))
		last = now
	}
	sort.Float64s(figures)
	fmt.Printf("%.3f\n", figures[len(figures)/4])
}

func together(count int, body func()) {
	var wg sync.WaitGroup
	wg.Add(count)
	for i := 0; i < count; i++ {
		go func() {
			body()
			wg.Done()
		}()
	}
	wg.Wait()
}

func yields(tasks int) {
	const yields = 200000
	measure(yields, func() {
		together(tasks, func() {
			for i := 0; i < yields/tasks; i++ {
				runtime.Gosched()
			}
		})
	})
}

func spawnJoin() {
	measure(100000, func() {
		for i := 0; i < 100; i++ {
			together(1000, func() {})
		}
	})
}

func queue(capacity int) {
	const items = 100000
	queue := make(chan *int, capacity)
	item := new(int)
	measure(items, func() {
		go func() {
			for i := 0; i < items; i++ {
				queue <- item
			}
		}()
		for i := 0; i < items; i++ {
			<-queue
		}
	})
}

func mutex() {
	const locks = 40000
	var mutex sync.Mutex
	measure(locks, func() {
		together(4, func() {
			for i := 0; i < locks/4; i++ {
				mutex.Lock()
				runtime.Gosched()
				mutex.Unlock()
			}
		})
	})
}

func timer100k() {
	const timers, moves = 100000, 50000
	state := uint64(88172645463325252)
	random := func() uint64 {
		state ^= state << 13
		state ^= state >> 7
		state ^= state << 17
		return state
	}
	add := func() *time.Timer {
		return time.AfterFunc(time.Duration(10e9+random()%60e9), func() {})
	}
	live := make([]*time.Timer, timers)
	for i := range live {
		live[i] = add()
	}
	measure(moves, func() {
		for i := 0; i < moves; i++ {
			j := random() % timers
			live[j].Stop()
			live[j] = add()
		}
	})
}

func scope() {
	const scopes = 20000
	measure(scopes, func() {
		for i := 0; i < scopes; i++ {
			_, end := context.WithTimeout(context.Background(), 10*time.Second)
			end()
		}
	})
}

func resident() float64 {
	var pages float64
	statm, _ := os.ReadFile("/proc/self/statm")
	fmt.Sscanf(string(statm), "%f %f", new(float64), &pages)
	return pages * float64(os.Getpagesize()) / 1024
}

func sleep1m() {
	const tasks = 1000000
	var asleep int64
	before := resident()
	for i := 0; i < tasks; i++ {
		go func() {
			atomic.AddInt64(&asleep, 1)
			time.Sleep(time.Hour)
		}()
	}
	for atomic.LoadInt64(&asleep) < tasks {
		runtime.Gosched()
	}
	fmt.Printf("%.3f\n", (resident()-before)/tasks)
}

func main() {
	runtime.GOMAXPROCS(1)
	gauges := map[string]func(){
		"yield":      func() { yields(2) },
		"yield1000":  func() { yields(1000) },
		"spawn_join": spawnJoin,
		"rendezvous": func() { queue(0) },
		"queue64":    func() { queue(64) },
		"mutex":      mutex,
		"timer100k":  timer100k,
		"scope":      scope,
		"sleep1m":    sleep1m,
	}
	gauges[os.Args[1]]()
}
