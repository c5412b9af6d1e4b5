package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ipfs/go-cid"
)

// What an answer may be. Larger ones are refused.
const (
	maxAnswer  = 2 << 20 // bytes of a body
	maxID      = 512     // bytes of a request id
	maxWords   = 300     // letters of a service's own words that are kept
	maxAddrs   = 20      // origins and delegates of a pin
	maxAddr    = 1024    // bytes of one
	maxResults = 1000    // pins in a list
)

// call makes a request and reads the answer, if one is wanted.
func (c *Client) call(ctx context.Context, method, path string, question any, answer decoder) error {
	if err := c.exchange(ctx, method, path, question, answer); err != nil {
		return fmt.Errorf("pinning service %s: %w", c.base, err)
	}
	return nil
}

func (c *Client) exchange(ctx context.Context, method, path string, question any, answer decoder) error {
	body, err := bodyOf(question)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+c.token)
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "skein")
	if question != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return errors.Join(ctx.Err(), fmt.Errorf("%w: %w", ErrBusy, err))
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return errors.Join(ctx.Err(), fmt.Errorf("%w: %w", ErrBusy, err))
	case len(b) > maxAnswer:
		return fmt.Errorf("%w: more than %d bytes", ErrAnswer, maxAnswer)
	case resp.StatusCode >= 300:
		return failure(resp, b)
	case answer == nil:
		return nil
	}
	if err := answer.decode(b); err != nil {
		return fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	return nil
}

func bodyOf(question any) (io.Reader, error) {
	if question == nil {
		return http.NoBody, nil
	}
	b, err := json.Marshal(question)
	return bytes.NewReader(b), err
}

// failure is the error that an answer of a status from 300 on stands for.
func failure(resp *http.Response, body []byte) error {
	kind := ErrRefused
	switch code := resp.StatusCode; {
	case code < 400:
		return fmt.Errorf("%w: it sends on to %s: use the address that it means", ErrAnswer, plain(resp.Header.Get("Location")))
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		kind = ErrToken
	case code == http.StatusNotFound:
		kind = ErrNotFound
	case code == http.StatusPaymentRequired || code == http.StatusConflict || code == http.StatusRequestEntityTooLarge:
		kind = ErrQuota
	case code == http.StatusTooManyRequests || code >= 500:
		kind = ErrBusy
	}
	return fmt.Errorf("%w (status %d%s)", kind, resp.StatusCode, wordsOf(resp.Header.Get("Content-Type"), body))
}

// wordsOf are the service's own words in the body of a failure, if they are there.
func wordsOf(contentType string, body []byte) string {
	var f struct {
		Error struct{ Reason, Details string }
	}
	if kind, _, _ := mime.ParseMediaType(contentType); kind != "application/json" || json.Unmarshal(body, &f) != nil {
		return ""
	}
	var out string
	for _, s := range []string{f.Error.Reason, f.Error.Details} {
		if s = plain(s); s != "" {
			out += ", " + s
		}
	}
	return out
}

// plain is a service's text without what could lead a terminal astray, cut to a line.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' || r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, " "))
	if letters := []rune(s); len(letters) > maxWords {
		s = string(letters[:maxWords]) + "…"
	}
	return strings.TrimSpace(s)
}

// decoder is an answer that reads itself out of JSON and checks itself.
type decoder interface{ decode(b []byte) error }

// wireStatus is a status as services send it. Keys that are not known are left alone, as the API asks.
type wireStatus struct {
	ID        string         `json:"requestid"`
	State     State          `json:"status"`
	Created   time.Time      `json:"created"`
	Pin       wirePin        `json:"pin"`
	Delegates []string       `json:"delegates"`
	Info      map[string]any `json:"info"`
}

type wirePin struct {
	CID  string `json:"cid"`
	Name string `json:"name"`
}

func (s *Status) decode(b []byte) error {
	var w wireStatus
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	return s.take(w)
}

func (s *Status) take(w wireStatus) error {
	if w.ID == "" || len(w.ID) > maxID {
		return fmt.Errorf("a request id of %d bytes", len(w.ID))
	}
	if !slices.Contains([]State{Queued, Pinning, Pinned, Failed}, w.State) {
		return fmt.Errorf("state %q", plain(string(w.State)))
	}
	if _, err := cid.Decode(w.Pin.CID); err != nil {
		return fmt.Errorf("%q is no CID", plain(w.Pin.CID))
	}
	*s = Status{ID: w.ID, State: w.State, Created: w.Created, Pin: Pin{CID: w.Pin.CID, Name: plain(w.Pin.Name)}}
	for _, d := range w.Delegates {
		if len(d) <= maxAddr && len(s.Delegates) < maxAddrs && d == plain(d) {
			s.Delegates = append(s.Delegates, d)
		}
	}
	detail, _ := w.Info["status_details"].(string)
	s.Detail = plain(detail)
	return nil
}

// results is an answer to a search.
type results struct{ pins []Status }

func (r *results) decode(b []byte) error {
	var w struct {
		Results []wireStatus `json:"results"`
	}
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	if len(w.Results) > maxResults {
		return fmt.Errorf("%d pins, at most %d were asked for", len(w.Results), maxResults)
	}
	r.pins = make([]Status, len(w.Results))
	for i, s := range w.Results {
		if err := r.pins[i].take(s); err != nil {
			return err
		}
	}
	return nil
}

// of are the pins of a CID, the newest first. A service that does not know the filter sends others too.
func (r *results) of(id string) []Status {
	out := slices.DeleteFunc(r.pins, func(s Status) bool { return !same(s.Pin.CID, id) })
	slices.SortStableFunc(out, func(a, b Status) int { return b.Created.Compare(a.Created) })
	return out
}
