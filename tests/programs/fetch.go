// fetch - a Go client: fetches URL in four goroutines at once, prints what all of them got
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
)

func fetch(url string) (string, error) {
	response, err := http.Get(url)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

func main() {
	const goroutines = 4
	type answer struct {
		body string
		err  error
	}
	answers := make(chan answer)
	for i := 0; i < goroutines; i++ {
		go func() {
			body, err := fetch(os.Args[1])
			answers <- answer{body, err}
		}()
	}
	seen := map[string]bool{}
	for i := 0; i < goroutines; i++ {
		a := <-answers
		if a.err != nil {
			fmt.Fprintln(os.Stderr, a.err)
			os.Exit(1)
		}
		seen[a.body] = true
	}
	for body := range seen {
		fmt.Print(body)
	}
}
