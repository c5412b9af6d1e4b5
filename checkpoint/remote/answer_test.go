package remote

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// Whatever a service answers, what comes out is bounded and fit for a terminal.
func FuzzAnswer(f *testing.F) {
	const good = `{"requestid":"1","status":"failed","created":"2026-01-02T03:04:05Z","pin":{"cid":"bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354","name":"n"},"delegates":["/ip4/1.2.3.4/tcp/1"],"info":{"status_details":"x"}}`
	f.Add([]byte(good))
	f.Add([]byte(`{"count":1,"results":[` + good + `]}`))
	f.Add([]byte(`{"error":{"reason":"R","details":"\u001b[2J\u202e"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		texts := []string{wordsOf("application/json", b)}
		var s Status
		if s.decode(b) == nil {
			texts = append(texts, s.Detail, s.Pin.Name)
			texts = append(texts, s.Delegates...)
		}
		var r results
		if r.decode(b) == nil && len(r.pins) > maxResults {
			t.Errorf("%d pins", len(r.pins))
		}
		for _, text := range texts {
			if len(text) > 8*maxWords+maxAddr || !utf8.ValidString(text) || strings.ContainsAny(text, "\x00\x1b\r\n\u202e") {
				t.Errorf("%q", text)
			}
		}
	})
}
