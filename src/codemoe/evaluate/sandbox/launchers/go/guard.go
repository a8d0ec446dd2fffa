// Package guard holds the evidence: the nonce comes before any code of the candidate runs, and is
// written when the suite's tests have all returned without a failure. Its import path is random.
package guard

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

var (
	nonce  string
	result *os.File
	passed int
)

func init() {
	header := make([]byte, 0, 64)
	one := make([]byte, 1)
	for len(header) < 64 {
		if n, _ := os.Stdin.Read(one); n != 1 || one[0] == '\n' {
			break
		}
		header = append(header, one[0])
	}
	if len(header) < 34 {
		os.Exit(1)
	}
	nonce = string(header[:32])
	number, _ := strconv.Atoi(strings.TrimSpace(string(header[32:])))
	result = os.NewFile(uintptr(number), "result")
	fmt.Fprint(result, "S\n")
}

func say(kind string, text string) {
	fmt.Fprintf(result, "%s %.600s\n", kind, strings.ReplaceAll(text, "\n", " "))
}

// Main runs a suite that is one function: it fails by panicking.
func Main(suite func()) {
	defer func() {
		if reason := recover(); reason != nil {
			kind := "F"
			if _, isRuntime := reason.(runtime.Error); isRuntime {
				kind = "E"
			}
			say(kind, fmt.Sprint("panic: ", reason))
			os.Exit(1)
		}
	}()
	suite()
	say("P", nonce)
	os.Exit(0)
}

// Tests runs test functions as `go test` does.
func Tests(tests []testing.InternalTest) {
	wrapped := make([]testing.InternalTest, 0, len(tests)+1)
	for _, test := range tests {
		run := test.F
		wrapped = append(wrapped, testing.InternalTest{Name: test.Name, F: func(t *testing.T) {
			run(t)
			if !t.Failed() {
				passed++
			}
		}})
	}
	wrapped = append(wrapped, testing.InternalTest{Name: "Verdict", F: func(t *testing.T) {
		if passed == len(tests) {
			say("P", nonce)
		} else {
			say("F", fmt.Sprintf("%d of %d tests passed", passed, len(tests)))
		}
	}})
	os.Args = os.Args[:1]
	testing.Main(func(string, string) (bool, error) { return true, nil }, wrapped, nil, nil)
}
