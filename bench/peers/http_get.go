// http.get32 with net/http: 32 goroutines over keep-alive connections. Usage: http_get PORT
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
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
	const slices, requests, connections = 10, 1600, 32
	runtime.GOMAXPROCS(1)
	url := "http://127.0.0.1:" + os.Args[1] + "/"
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections}}
	var figures []float64
	last := cpu()
	for i := 0; i < slices; i++ {
		var wg sync.WaitGroup
		for j := 0; j < connections; j++ {
			wg.Add(1)
			go func() {
				defer wg.Done()
				for k := 0; k < requests/connections; k++ {
					response, err := client.Get(url)
					if err != nil {
						os.Exit(1)
					}
					io.Copy(io.Discard, response.Body)
					response.Body.Close()
				}
			}()
		}
		wg.Wait()
		now := cpu()
		figures = append(figures, (now-last)/requests)
		last = now
	}
	sort.Float64s(figures)
	fmt.Printf("%.3f\n", figures[len(figures)/4])
}
