// Package remote asks services to keep checkpoints: a client of the IPFS Pinning Service API 1.0
// (https://ipfs.github.io/pinning-services-api-spec/). What a service answers is bounded, checked and free of control characters.
package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/ipfs/go-cid"
)

// Errors of a service, wrapped with what it says itself.
var (
	ErrToken    = errors.New("the service does not accept the access token")  // 401, 403
	ErrNotFound = errors.New("the service does not know this")                // 404
	ErrQuota    = errors.New("the account at the service has no room left")   // 402, 409, 413
	ErrBusy     = errors.New("the service is overloaded; try again later")    // 429, 5xx, no answer in time, no connection
	ErrRefused  = errors.New("the service refuses the request")               // other 4xx
	ErrAnswer   = errors.New("the answer is none of the Pinning Service API") // redirects, other forms, more than maxAnswer
	ErrFailed   = errors.New("the service could not pin it")                  // state failed
)

// State is how far a service is with a pin.
type State string

// The states of a pin: the last two are final.
const (
	Queued  State = "queued"
	Pinning State = "pinning"
	Pinned  State = "pinned"
	Failed  State = "failed"
)

// Pin is what a service is asked to keep.
type Pin struct {
	CID     string            `json:"cid"`
	Name    string            `json:"name,omitempty"`    // at most 255 bytes
	Origins []string          `json:"origins,omitempty"` // multiaddrs with peer id of whom to fetch it from, at most 20
	Meta    map[string]string `json:"meta,omitempty"`
}

// Status is what a service says of a pin.
type Status struct {
	ID        string    `json:"requestid"`
	State     State     `json:"status"`
	Created   time.Time `json:"created"`
	Pin       Pin       `json:"pin"`
	Delegates []string  `json:"delegates"`        // multiaddrs of who will fetch it: connecting to them helps
	Detail    string    `json:"detail,omitempty"` // why it failed, or how far it is, in the service's words
}

// Options say how a client works.
type Options struct {
	Token   string        // access token; sent to this service alone, and never over plain HTTP but to this machine
	Timeout time.Duration // of one request; 0 is 30 s
	Every   time.Duration // between two looks at a pin; 0 is 2 s. After failures it grows up to 16 times as long
}

// Client speaks to one service. Its methods may be called from any goroutine.
type Client struct {
	base  string // without a slash at the end
	token string
	every time.Duration
	http  http.Client
}

// New makes a client of the service at a URL, such as https://pins.example/psa. It connects to nobody yet.
func New(base string, o Options) (*Client, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("pinning service %q: want a URL like https://pins.example/psa, without a user, ? and #", base)
	}
	if u.Scheme == "http" && !local(u.Hostname()) {
		return nil, fmt.Errorf("pinning service %s: use https: the access token would be readable on the way", base)
	}
	if o.Token == "" || strings.ContainsFunc(o.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, fmt.Errorf("pinning service %s: %w: it is empty, or has spaces or letters that no token has", base, ErrToken)
	}
	return &Client{
		base: strings.TrimRight(u.String(), "/"), token: o.Token, every: orDefault(o.Every, 2*time.Second),
		http: http.Client{
			Timeout:       orDefault(o.Timeout, 30*time.Second),
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d <= 0 {
		return otherwise
	}
	return d
}

// local tells whether a host is this machine.
func local(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Add asks the service to keep a folder. It returns at once; see Wait.
func (c *Client) Add(ctx context.Context, p Pin) (Status, error) {
	if err := p.check(); err != nil {
		return Status{}, err
	}
	var s Status
	err := c.call(ctx, http.MethodPost, "/pins", p, &s)
	if err == nil && !same(s.Pin.CID, p.CID) {
		err = fmt.Errorf("pinning service %s: %w: asked to pin %s, it pins %s", c.base, ErrAnswer, p.CID, s.Pin.CID)
	}
	return s, err
}

func (p Pin) check() error {
	if _, err := cid.Decode(p.CID); err != nil {
		return fmt.Errorf("%q is no CID: %w", p.CID, err)
	}
	if len(p.Name) > 255 || len(p.Origins) > maxAddrs {
		return fmt.Errorf("pin of %s: a name of %d bytes and %d origins: at most 255 and %d", p.CID, len(p.Name), len(p.Origins), maxAddrs)
	}
	return nil
}

// same tells whether two texts are the same CID, in whatever letters.
func same(a, b string) bool {
	x, errX := cid.Decode(a)
	y, errY := cid.Decode(b)
	return errX == nil && errY == nil && x.Equals(y)
}

// Get asks how far a pin is.
func (c *Client) Get(ctx context.Context, id string) (Status, error) {
	var s Status
	err := c.call(ctx, http.MethodGet, "/pins/"+url.PathEscape(id), nil, &s)
	return s, err
}

// Find lists the pins of a CID in any state, the newest first.
func (c *Client) Find(ctx context.Context, id string) ([]Status, error) {
	q := url.Values{"cid": {id}, "status": {"queued,pinning,pinned,failed"}, "limit": {"1000"}}
	var r results
	if err := c.call(ctx, http.MethodGet, "/pins?"+q.Encode(), nil, &r); err != nil {
		return nil, err
	}
	return r.of(id), nil
}

// Remove takes a pin off.
func (c *Client) Remove(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "/pins/"+url.PathEscape(id), nil, nil)
}

// Ensure finds the pin of a CID with that name, or adds one: calling it again makes no second pin. A failed one is asked for anew.
func (c *Client) Ensure(ctx context.Context, p Pin) (Status, error) {
	if err := p.check(); err != nil {
		return Status{}, err
	}
	found, err := c.Find(ctx, p.CID)
	if err != nil {
		return Status{}, err
	}
	for _, s := range found {
		if s.Pin.Name == p.Name && s.State != Failed {
			return s, nil
		}
	}
	return c.Add(ctx, p)
}

// Forget takes off every pin of a CID that has that name. None is no error.
func (c *Client) Forget(ctx context.Context, id, name string) error {
	found, err := c.Find(ctx, id)
	if err != nil {
		return err
	}
	for _, s := range found {
		if s.Pin.Name != name {
			continue
		}
		if err := c.Remove(ctx, s.ID); err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	return nil
}

// patience is how many looks in a row may find the service overloaded.
const patience = 8

// Wait looks at a pin until it is pinned, tells see what it finds each time, and returns the last. It bears an overloaded
// service for a while. Error: ErrFailed if the service gives up.
func (c *Client) Wait(ctx context.Context, s Status, see func(Status)) (Status, error) {
	for failures := 0; ; {
		switch see(s); s.State {
		case Pinned:
			return s, nil
		case Failed:
			return s, fmt.Errorf("%w: %s", ErrFailed, orWords(s.Detail, "no reason given"))
		}
		pause := time.NewTimer(c.every << min(failures, 4))
		select {
		case <-ctx.Done():
			pause.Stop()
			return s, ctx.Err()
		case <-pause.C:
		}
		switch now, err := c.Get(ctx, s.ID); {
		case err == nil && !same(now.Pin.CID, s.Pin.CID):
			return s, fmt.Errorf("%w: pin %s was of %s and is of %s", ErrAnswer, s.ID, s.Pin.CID, now.Pin.CID)
		case err == nil:
			s, failures = now, 0
		case errors.Is(err, ErrBusy) && failures < patience && ctx.Err() == nil:
			failures++
		default:
			return s, err
		}
	}
}

func orWords(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
