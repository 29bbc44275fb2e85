package main

import (
	"bytes"
	"fmt"
	"os"
)

// checkAnswers reads what the reader in Rust is held to: in each line an outcome, a tab and what an app answers. The first
// file is of deliveries of one event, the second of several.
func checkAnswers(files [2]string) error {
	for i, outcome := range []func([]byte) string{outcomeOf, outcomeOfBulk} {
		text, err := os.ReadFile(files[i])
		if err != nil {
			return err
		}
		lines := bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n"))
		for at, line := range lines {
			want, body, _ := bytes.Cut(line, []byte("\t"))
			if got := outcome(body); got != string(want) {
				return fmt.Errorf("%s:%d: %s instead of %s: %s", files[i], at+1, got, want, body)
			}
		}
		fmt.Printf("%d answers as they should be\n", len(lines))
	}
	return nil
}
