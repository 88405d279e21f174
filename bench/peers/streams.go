// The gauges of streams in Go: net.Conn, crypto/tls; one thread runs goroutines. An idle
// connection has a goroutine that reads. Usage: streams GAUGE PORT [FILE]
package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"sort"
	"strings"
	"syscall"
)

const total, slice = 1 << 30, 32 << 20

type measure struct {
	slices []float64
	last   float64
}

func cpu() float64 {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return float64(u.Utime.Nano() + u.Stime.Nano())
}

func begin() *measure { return &measure{last: cpu()} }

func (m *measure) slice(operations float64) {
	now := cpu()
	m.slices = append(m.slices, (now-m.last)/operations)
	m.last = now
}

func (m *measure) end() {
	sort.Float64s(m.slices)
	fmt.Printf("%.3f\n", m.slices[len(m.slices)/4])
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func dial(secure bool) net.Conn {
	address := "127.0.0.1:" + os.Args[2]
	if secure {
		c, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
		check(err)
		return c
	}
	c, err := net.Dial("tcp", address)
	check(err)
	return c
}

func send() {
	c, piece, m := dial(false), make([]byte, 256*1024), begin()
	for sent, inSlice := 0, 0; sent < total; sent += len(piece) {
		_, err := c.Write(piece)
		check(err)
		if inSlice += len(piece); inSlice >= slice {
			m.slice(float64(inSlice) / 1024)
			inSlice = 0
		}
	}
	c.Close()
	m.end()
}

// io.Copy() to a TCP connection is sendfile().
func sendFile() {
	c := dial(false)
	f, err := os.Open(os.Args[3])
	check(err)
	m := begin()
	for i := 0; i < total/slice; i++ {
		_, err = f.Seek(0, io.SeekStart)
		check(err)
		n, err := io.Copy(c, f)
		check(err)
		m.slice(float64(n) / 1024)
	}
	c.Close()
	m.end()
}

func download(secure bool) {
	c, buffer, inSlice := dial(secure), make([]byte, 256*1024), 0
	_, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	check(err)
	m := begin()
	for {
		n, err := c.Read(buffer)
		if err == io.EOF {
			break
		}
		check(err)
		if inSlice += n; inSlice >= slice {
			m.slice(float64(inSlice) / 1024)
			inSlice = 0
		}
	}
	m.end()
}

func roundTrip(c net.Conn, message []byte) {
	_, err := c.Write(message)
	check(err)
	_, err = io.ReadFull(c, message)
	check(err)
}

func pingpong() {
	const connections, slices, roundTrips = 32, 20, 3200
	trips, done := make(chan int), make(chan bool)
	for i := 0; i < connections; i++ {
		go func(c net.Conn) {
			message := make([]byte, 100)
			for n := range trips {
				for ; n > 0; n-- {
					roundTrip(c, message)
				}
				done <- true
			}
		}(dial(false))
	}
	m := begin()
	for i := 0; i < slices; i++ {
		for j := 0; j < connections; j++ {
			trips <- roundTrips / connections
		}
		for j := 0; j < connections; j++ {
			<-done
		}
		m.slice(roundTrips)
	}
	m.end()
}

func resident() float64 {
	var pages float64
	statm, err := os.ReadFile("/proc/self/statm")
	check(err)
	fmt.Sscanf(string(statm), "%f %f", new(float64), &pages)
	return pages * float64(os.Getpagesize())
}

func idle(secure bool, count int) {
	first := dial(secure)
	roundTrip(first, make([]byte, 100))
	debug.FreeOSMemory()
	before := resident()
	idle := make(chan bool)
	for i := 0; i < count; i++ {
		c := dial(secure)
		go func() {
			roundTrip(c, make([]byte, 100))
			idle <- true
			c.Read(make([]byte, 100))
		}()
		<-idle
	}
	debug.FreeOSMemory()
	fmt.Printf("%.3f\n", (resident()-before)/float64(count))
}

func main() {
	runtime.GOMAXPROCS(1)
	secure := strings.HasSuffix(os.Args[1], "_tls")
	switch os.Args[1] {
	case "send":
		send()
	case "send_file":
		sendFile()
	case "download", "download_tls":
		download(secure)
	case "pingpong32":
		pingpong()
	case "idle":
		idle(secure, 10000)
	case "idle_tls":
		idle(secure, 1000)
	default:
		os.Exit(2)
	}
}
