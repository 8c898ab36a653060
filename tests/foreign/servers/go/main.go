// A pod of the foreign servers: Go's net/http, over HTTP/1 and HTTP/2 with prior knowledge.
// foreign IP PORT LOG [CHAIN KEY]
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

func main() {
	file, err := os.OpenFile(os.Args[3], os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		panic(err)
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{
		Addr:      os.Args[1] + ":" + os.Args[2],
		Handler:   http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer(w, r, file) }),
		Protocols: protocols,
	}
	if idle, err := strconv.Atoi(os.Getenv("IDLE_MS")); err == nil {
		server.IdleTimeout = time.Duration(idle) * time.Millisecond
	}
	stopped := make(chan struct{})
	go func() {
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, syscall.SIGTERM)
		<-signals
		server.Shutdown(context.Background())
		close(stopped)
	}()
	if len(os.Args) > 4 {
		err = server.ListenAndServeTLS(os.Args[4], os.Args[5])
	} else {
		err = server.ListenAndServe()
	}
	if err != http.ErrServerClosed {
		panic(err)
	}
	<-stopped
}

func answer(w http.ResponseWriter, r *http.Request, log io.Writer) {
	id := r.Header.Get("x-id")
	fmt.Fprintf(log, "%s %s\n", r.Method, id)
	number := func(name string) int {
		value, _ := strconv.Atoi(r.URL.Query().Get(name))
		return value
	}
	w.Header().Set("x-id", id)
	if r.URL.Path == "/early" {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	length, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		return
	}
	switch r.URL.Path {
	case "/id":
		fmt.Fprintf(w, "%s %d\n", id, length)
	case "/slow":
		time.Sleep(time.Duration(number("ms")) * time.Millisecond)
		fmt.Fprintf(w, "%s %d\n", id, length)
	case "/big":
		w.Header().Set("content-length", strconv.Itoa(number("bytes")))
		w.Write(bytes.Repeat([]byte("x"), number("bytes")))
	case "/stream":
		piece := bytes.Repeat([]byte("x"), 16384)
		for left := number("bytes"); left > 0; left -= len(piece) {
			if left < len(piece) {
				piece = piece[:left]
			}
			if _, err := w.Write(piece); err != nil {
				return
			}
			w.(http.Flusher).Flush()
		}
	case "/trailers":
		w.Header().Set("trailer", "x-trailer")
		io.WriteString(w, "body")
		w.Header().Set("x-trailer", id)
	case "/none":
		w.WriteHeader(http.StatusNoContent)
	case "/same":
		w.WriteHeader(http.StatusNotModified)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}
