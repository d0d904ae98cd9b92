package manager

import (
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// outputOf logs what a shell script writes to its standard output.
func outputOf(t *testing.T, script string) (o *output, text string) {
	t.Helper()
	log, logged := testLog()
	o = newOutput(log)
	o.own = true
	var wg sync.WaitGroup
	ch, err := o.start(func(w *os.File) (*child, error) {
		cmd := exec.Command("sh", "-c", script)
		cmd.Stdout, cmd.Stderr = w, w
		return &child{cmd: cmd}, cmd.Start()
	}, &wg)
	if err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if err := ch.cmd.Wait(); err != nil {
		t.Error(err)
	}
	return o, logged()
}

func TestOutputKeepsTheLastLinesAndLogsAll(t *testing.T) {
	o, text := outputOf(t, `
		for i in a b c d e f g h i j k l m n o p q r s t; do printf 'line %s\r\n\n' $i; done
		printf '%0196608d\n' 0
		printf 'no line break at the end'`)
	if n := strings.Count(text, "php output"); n != 20+3+1 {
		t.Errorf("%d records", n)
	}
	if got := o.said(); !strings.HasSuffix(got, " | no line break at the end") || strings.Contains(got, "line a") || strings.Count(got, " | ") != outputTail-1 {
		t.Errorf("remembered: %.200q", got)
	}
	log, _ := testLog()
	if got := newOutput(log).said(); got != "" {
		t.Errorf("nothing was said, but %q", got)
	}
}

func TestOutputOfManyProcessesWithoutLineBreaksIsBounded(t *testing.T) {
	lines := newOutputLines()
	var said []outputLine
	total := 0
	for pid := range 100 {
		said = lines.add(said, pid, pid, make([]byte, outputLineLimit-1))
		if lines.held > outputHeldLimit {
			t.Fatalf("%d bytes are held", lines.held)
		}
	}
	for _, l := range lines.finishAll(said) {
		total += len(l.text)
	}
	if total != 100*(outputLineLimit-1) || lines.held != 0 || !lines.empty() {
		t.Errorf("%d bytes were logged, %d are held", total, lines.held)
	}
}
