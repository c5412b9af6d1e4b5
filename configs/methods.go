package configs

import (
	"fmt"
	"slices"

	"github.com/skein-train/skein/internal/codecname"
)

// rules are what a training method asks of the run file: what they set where nobody wrote anything, and what must hold.
type rules struct {
	fill  map[string]func(*Config) // by path
	check func(r *relations, c Config)
}

// methodRules are the rules by the name in outer.method. Those that are not here ask for nothing.
func methodRules() map[string]rules {
	return map[string]rules{
		"diloco": {check: averages},
		"fedavg": {check: (*relations).fedavg, fill: map[string]func(*Config){
			"outer.optimizer": func(c *Config) { c.Outer.Optimizer = "sgd" },
			"outer.lr":        func(c *Config) { c.Outer.LR = 1 },
		}},
		"sparseloco": {check: (*relations).plain, fill: map[string]func(*Config){
			"outer.optimizer":     func(c *Config) { c.Outer.Optimizer = "sgd" },
			"outer.lr":            func(c *Config) { c.Outer.LR = 1 },
			"sync.codec":          func(c *Config) { c.Sync.Codec = "topk:64/4096+2bit" },
			"sync.error_feedback": func(c *Config) { c.Sync.ErrorFeedback = 0.95 },
		}},
		"muloco": {check: averages, fill: map[string]func(*Config){
			"inner.optimizer":     func(c *Config) { c.Inner.Optimizer = "muon" },
			"sync.codec":          func(c *Config) { c.Sync.Codec = "int4" },
			"sync.error_feedback": func(c *Config) { c.Sync.ErrorFeedback = 1 },
		}},
		"elastic": {check: averages, fill: map[string]func(*Config){
			"sync.error_feedback": func(c *Config) { c.Sync.ErrorFeedback = 1 },
		}},
		"ddp": {check: (*relations).ddp, fill: map[string]func(*Config){
			"sync.every":      func(c *Config) { c.Sync.Every = 1 },
			"outer.optimizer": func(c *Config) { c.Outer.Optimizer = "adamw" },
		}},
		"demo": {check: (*relations).demo, fill: map[string]func(*Config){
			"sync.every":          func(c *Config) { c.Sync.Every = 1 },
			"outer.optimizer":     func(c *Config) { c.Outer.Optimizer = "sign" },
			"sync.codec":          func(c *Config) { c.Sync.Codec = "dct:32/64+f32" },
			"sync.error_feedback": func(c *Config) { c.Sync.ErrorFeedback = 0.999 },
		}},
		"eager": {check: (*relations).eager, fill: map[string]func(*Config){
			"sync.delay": func(c *Config) { c.Sync.Delay = c.Sync.Every },
			"sync.codec": func(c *Config) { c.Sync.Codec = "bf16" },
		}},
		"noloco": {check: (*relations).noloco, fill: map[string]func(*Config){
			"outer.lr":      func(c *Config) { c.Outer.LR = 0.7 },
			"sync.codec":    func(c *Config) { c.Sync.Codec = "bf16" },
			"sync.topology": func(c *Config) { c.Sync.Topology = "pair" },
		}},
		"async": {check: (*relations).async, fill: map[string]func(*Config){
			"sync.max_staleness": func(c *Config) { c.Sync.MaxStaleness = 64 },
			"outer.delayed":      func(c *Config) { c.Outer.Delayed = c.Swarm.LocalWorkers },
		}},
	}
}

// adapt fills what the chosen method sets and nobody wrote down.
func (c *Config) adapt(written func(path string) bool) {
	for path, fill := range methodRules()[c.Outer.Method].fill {
		if !written(path) {
			fill(c)
		}
	}
}

// method checks what the method needs.
func (r *relations) method(c Config) {
	if m := methodRules()[c.Outer.Method]; m.check != nil {
		m.check(r, c)
	}
	r.only(c, "sync.max_staleness", c.Sync.MaxStaleness != 0, "async")
	r.average(c)
	r.only(c, "outer.delayed", c.Outer.Delayed != 0, "async")
	r.only(c, "sync.grace", c.Sync.Grace != 0, "elastic")
	r.only(c, "sync.pace", c.Sync.Pace == "auto", "async")
	r.only(c, "sync.topology", c.Sync.Topology == "pair", "noloco")
}

// only refuses a setting that belongs to some methods.
func (r *relations) only(c Config, path string, set bool, methods ...string) {
	if set && !slices.Contains(methods, c.Outer.Method) {
		r.fail(path+" outer.method", fmt.Sprintf("%s belongs to outer.method %s, this is %s", path, methods[0], c.Outer.Method), "set outer.method to "+methods[0]+", or leave it out")
	}
}

// average refuses a mean over senders where every place has the same ones, and where the method has a mean of its own.
func (r *relations) average(c Config) {
	if c.Outer.Average != "senders" {
		return
	}
	if name, err := codecname.Parse(c.Sync.Codec); err == nil && name.What != codecname.TopK && name.What != codecname.DCT {
		r.fail("outer.average sync.codec", fmt.Sprintf("outer.average senders: with sync.codec %s every contribution sends the same places", c.Sync.Codec), "leave it out, or take a codec of topk or dct")
	}
	r.only(c, "outer.average", true, "sparseloco", "diloco", "fedavg", "muloco", "demo", "ddp")
}

// averages is what methods ask for whose outer step goes along the mean pseudo-gradient.
func averages(r *relations, c Config) {
	switch c.Outer.Optimizer {
	case "adamw":
		r.fail("outer.optimizer outer.method", "outer.optimizer adamw belongs to outer.method ddp", c.Outer.Method+" takes nesterov or sgd")
	case "sign":
		r.fail("outer.optimizer outer.method", "outer.optimizer sign belongs to outer.method demo", c.Outer.Method+" takes nesterov or sgd")
	}
}

// plain is what methods ask for that subtract the mean as it is.
func (r *relations) plain(c Config) {
	if c.Outer.Optimizer != "sgd" {
		r.fail("outer.optimizer outer.method", fmt.Sprintf("outer.method %s has no outer momentum, outer.optimizer is %s", c.Outer.Method, c.Outer.Optimizer), "set outer.optimizer to sgd, or outer.method to diloco")
	}
}

func (r *relations) fedavg(c Config) {
	r.plain(c)
	if c.Outer.LR != 1 {
		r.fail("outer.lr outer.method", fmt.Sprintf("outer.method fedavg takes the mean itself, outer.lr is %v", c.Outer.LR), "set outer.lr to 1, or outer.method to diloco")
	}
}

// everyStep is what methods ask for that exchange gradients.
func (r *relations) everyStep(c Config, optimizer string) {
	s, name := c.Sync, c.Outer.Method
	if c.Inner.Optimizer != "adamw" {
		r.fail("inner.optimizer outer.method", fmt.Sprintf("outer.method %s has no inner steps for %s to take", name, c.Inner.Optimizer),
			"set inner.optimizer to adamw, or outer.method to diloco")
	}
	if s.Every != 1 {
		r.fail("sync.every outer.method", fmt.Sprintf("outer.method %s exchanges after every step, sync.every is %d", name, s.Every), "set sync.every to 1, or outer.method to diloco")
	}
	if s.Fragments != 1 || s.Delay != 0 || s.Blend != 0 {
		r.fail("sync.fragments sync.delay sync.blend outer.method", fmt.Sprintf("outer.method %s needs sync.fragments 1, sync.delay 0 and sync.blend 0; got %d, %d and %v", name, s.Fragments, s.Delay, s.Blend), "")
	}
	if c.Outer.Optimizer != optimizer {
		r.fail("outer.optimizer outer.method", fmt.Sprintf("outer.method %s needs outer.optimizer %s, got %s", name, optimizer, c.Outer.Optimizer), "its settings are those of inner")
	}
}

func (r *relations) ddp(c Config)  { r.everyStep(c, "adamw") }
func (r *relations) demo(c Config) { r.everyStep(c, "sign") }

// apart is what methods ask for whose workers have anchors of their own.
func (r *relations) apart(c Config) {
	averages(r, c)
	if c.Sync.Fragments != 1 || c.Sync.Blend != 0 || c.Sync.ErrorFeedback != 0 {
		r.fail("sync.fragments sync.blend sync.error_feedback outer.method", fmt.Sprintf("outer.method %s needs sync.fragments 1, sync.blend 0 and sync.error_feedback 0; got %d, %v and %v",
			c.Outer.Method, c.Sync.Fragments, c.Sync.Blend, c.Sync.ErrorFeedback), "")
	}
	if c.Sync.Codec != "f32" && c.Sync.Codec != "bf16" {
		r.fail("sync.codec outer.method", fmt.Sprintf("outer.method %s sends parameters at the end, sync.codec %s is too coarse for them", c.Outer.Method, c.Sync.Codec), "set sync.codec to bf16 or f32")
	}
}

func (r *relations) eager(c Config) {
	r.apart(c)
	if c.Sync.Delay != c.Sync.Every {
		r.fail("sync.delay sync.every outer.method", fmt.Sprintf("outer.method eager needs sync.delay (%d) equal to sync.every (%d)", c.Sync.Delay, c.Sync.Every), "")
	}
}

func (r *relations) noloco(c Config) {
	r.apart(c)
	if c.Sync.Delay != 0 {
		r.fail("sync.delay outer.method", fmt.Sprintf("outer.method noloco needs sync.delay 0, got %d", c.Sync.Delay), "")
	}
}

func (r *relations) async(c Config) {
	averages(r, c)
	if c.Sync.Fragments != 1 || c.Sync.Delay != 0 || c.Sync.Blend != 0 {
		r.fail("sync.fragments sync.delay sync.blend outer.method", fmt.Sprintf("outer.method async needs sync.fragments 1, sync.delay 0 and sync.blend 0; got %d, %d and %v", c.Sync.Fragments, c.Sync.Delay, c.Sync.Blend), "")
	}
	if c.Sync.MaxStaleness == 0 {
		r.fail("sync.max_staleness outer.method", "outer.method async needs sync.max_staleness of 1 or more", "64 refuses next to nothing")
	}
}
