package configs

import (
	"reflect"
	"strings"
	"testing"
)

// Naming a method is enough: what it needs is filled in, and what it fills in is right.
func TestNamingAMethodIsEnough(t *testing.T) {
	field, _ := reflect.TypeOf(Outer{}).FieldByName("Method")
	for _, name := range strings.Split(field.Tag.Get("enum"), "|") {
		if _, known := methodRules()[name]; !known {
			t.Errorf("method %s has no rules", name)
		}
		c, err := Parse([]byte("data: {source: enwik7}\nouter: {method: " + name + "}\n"))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if again, err := Parse([]byte(c.Resolved())); err != nil || string(again.Resolved()) != string(c.Resolved()) {
			t.Errorf("%s: what is filled in reads as another run: %v\n%s", name, err, again.Resolved())
		}
	}
}

// What is written down is never replaced.
func TestWhatIsWrittenStays(t *testing.T) {
	c, err := Parse([]byte("data: {source: enwik7}\nouter: {method: sparseloco, lr: 0.65}\nsync: {codec: int8, error_feedback: 0.5}\n"))
	if err != nil || c.Outer.LR != 0.65 || c.Sync.Codec != "int8" || c.Sync.ErrorFeedback != 0.5 {
		t.Errorf("%v, got\n%s", err, c.Resolved())
	}
}

func TestSettingsOfOtherMethodsAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"outer: {delayed: 4}":                          "outer.method async",
		"sync: {grace: 1s}":                            "outer.method elastic",
		"sync: {pace: auto}":                           "outer.method async",
		"sync: {topology: pair}":                       "outer.method noloco",
		"outer: {method: eager}\nsync: {delay: 3}":     "sync.every",
		"outer: {method: noloco}\nsync: {codec: int8}": "too coarse",
		"outer: {method: async}\nsync: {fragments: 2}": "sync.fragments 1",
		"outer: {average: senders}":                    "the same places",
		"outer: {method: elastic, average: senders}\nsync: {codec: topk:64/4096+2bit}": "outer.method sparseloco",
		"outer: {method: sparseloco, average: senders}\nsync: {codec: mask:1/20+f32}":  "the same places",
		"outer: {method: demo, optimizer: adamw}":                                      "outer.optimizer sign",
		"outer: {method: fedavg, optimizer: nesterov}":                                 "no outer momentum",
		"outer: {method: fedavg, lr: 0.7}":                                             "the mean itself",
		"outer: {method: demo}\ninner: {optimizer: muon}":                              "no inner steps",
	} {
		if _, err := Parse([]byte("data: {source: enwik7}\n" + text + "\n")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want one with %q", text, err, want)
		}
	}
}
