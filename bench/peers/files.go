// io.read4k and io.lines in Go: os.File.Read of 4 KiB; bufio.Reader.ReadSlice. Usage:
// files GAUGE FILE
package main

import (
	"bufio"
	"fmt"
	"os"
	"sort"
	"syscall"
)

func cpu() float64 {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return float64(u.Utime.Nano() + u.Stime.Nano())
}

func read4k(f *os.File) (count int) {
	buffer := make([]byte, 4096)
	for {
		n, _ := f.Read(buffer)
		if n <= 0 {
			return
		}
		count++
	}
}

func lines(f *os.File) (count int) {
	r := bufio.NewReaderSize(f, 65536)
	for {
		if _, err := r.ReadSlice('\n'); err != nil {
			return
		}
		count++
	}
}

func main() {
	passes, work := 40, read4k
	if os.Args[1] == "lines" {
		passes, work = 400, lines
	}
	var slices []float64
	for i := 0; i < passes; i++ {
		start := cpu()
		f, err := os.Open(os.Args[2])
		if err != nil {
			os.Exit(1)
		}
		count := work(f)
		f.Close()
		slices = append(slices, (cpu()-start)/float64(count))
	}
	sort.Float64s(slices)
	fmt.Printf("%.3f\n", slices[len(slices)/4])
}
