package swarm

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/multiformats/go-multistream"
	"github.com/skein-train/skein/aggregator"
)

// Why a peer at an address cannot be asked. Every error of FetchRun, FetchStatus and FetchLog wraps one of them, and is one
// sentence that says what to do.
var (
	ErrAddress     = errors.New("no address of a peer")
	ErrUnreachable = errors.New("nobody answers")
	ErrIdentity    = errors.New("another identity answers")
	ErrNoSkein     = errors.New("no skein peer")
	ErrForged      = errors.New("not signed by the run's owner")
	ErrClock       = errors.New("the clocks differ by more than an hour")
)

// Trouble is one of the errors above as a sentence for a person. Kind and Cause are found by errors.Is.
type Trouble struct {
	Kind  error
	Text  string // names the address and the remedy
	Cause error  // of libp2p, or nil: for the log
}

func (t *Trouble) Error() string { return t.Text }

// Unwrap gives kind and cause to errors.Is.
func (t *Trouble) Unwrap() []error {
	if t.Cause == nil {
		return []error{t.Kind}
	}
	return []error{t.Kind, t.Cause}
}

func troubled(kind, cause error, format string, args ...any) error {
	return &Trouble{Kind: kind, Text: fmt.Sprintf(format, args...), Cause: cause}
}

// visitTime bounds the whole conversation with one address, on top of the caller's context.
const visitTime = 60 * time.Second

// visit asks the peers at the addresses, one after the other, until one gives an answer that read accepts. It uses an
// identity of the moment and listens nowhere. The error is that of the last peer that answered anything, or of the first
// address, if none did.
func visit[T any](ctx context.Context, addrs []string, id protocol.ID, request []byte, read func(peer.AddrInfo, io.Reader) (T, error)) (out T, err error) {
	infos, err := addrInfos(addrs)
	if err != nil {
		return out, err
	}
	if len(infos) == 0 {
		return out, troubled(ErrAddress, nil, "no address was given: pass the one that skein run prints")
	}
	h, done, err := passer(ctx)
	if err != nil {
		return out, err
	}
	defer done()
	var worst error
	for _, info := range infos {
		out, err = ask(ctx, h, info, id, request, read)
		if err == nil || ctx.Err() != nil {
			return out, err
		}
		if worst == nil || !errors.Is(err, ErrUnreachable) {
			worst = err
		}
	}
	return out, worst
}

// passer makes a host of the moment, that nobody can dial. It prefers Noise, so that peers can be asked for the time when the
// clock is off.
func passer(ctx context.Context) (host.Host, func(), error) {
	var seed [32]byte
	_, _ = rand.Read(seed[:]) // never fails: see crypto/rand
	ctx, cancel := context.WithCancel(ctx)
	m := newMeter(ctx, nil)
	h, err := newHost(seed, m, newGuard(slog.New(slog.DiscardHandler), aggregator.NewSigner(seed).ID), withNoise(m), withTLS(m))
	if err != nil {
		cancel()
		return nil, nil, fmt.Errorf("swarm: %w", err)
	}
	return h, func() { cancel(); _ = h.Close() }, nil
}

// ask dials one peer and puts one request to it.
func ask[T any](ctx context.Context, h host.Host, info peer.AddrInfo, id protocol.ID, request []byte, read func(peer.AddrInfo, io.Reader) (T, error)) (out T, err error) {
	ctx, cancel := context.WithTimeout(ctx, visitTime)
	defer cancel()
	dial, done := context.WithTimeout(ctx, streamIdle)
	defer done()
	if err := h.Connect(dial, info); err != nil {
		return out, diagnose(info, err)
	}
	s, err := h.NewStream(network.WithNoDial(dial, "asking"), info.ID, id)
	if err != nil {
		return out, diagnose(info, err)
	}
	defer s.Reset()
	defer context.AfterFunc(ctx, func() { _ = s.Reset() })()
	_ = s.SetDeadline(time.Now().Add(streamIdle))
	_, err = s.Write(request)
	if err = errors.Join(err, s.CloseWrite()); err == nil {
		out, err = read(info, lively{s})
	}
	var told *Trouble
	if err != nil && !errors.As(err, &told) {
		err = diagnose(info, err)
	}
	return out, err
}

// diagnose turns an error of libp2p into a sentence.
func diagnose(info peer.AddrInfo, err error) error {
	at := place(info)
	var other sec.ErrPeerIDMismatch
	var unsupported multistream.ErrNotSupported[protocol.ID]
	switch {
	case errors.As(err, &other):
		return troubled(ErrIdentity, err, "%s: another peer answers there, %s: the run was started anew or the address is wrong, ask for a new one", at, other.Actual)
	case clockTrouble(err):
		return troubled(ErrClock, err, "%s: the clocks of this machine and of the peer differ by more than an hour: set this one right (it says %s) and try again",
			at, clock(time.Now()))
	case stalled(err):
		return troubled(ErrUnreachable, err, "%s: nobody answers (timed out): check that the run is going and that this port is open to this machine", at)
	case errors.As(err, &unsupported), strings.Contains(err.Error(), "failed to negotiate security protocol"):
		return troubled(ErrNoSkein, err, "%s: somebody answers there who is no skein peer of this version, or has too many connections from here: check the address, update skein, or try again in a minute", at)
	case errors.Is(err, aggregator.ErrMalformed):
		return troubled(ErrForged, err, "%s: what the peer sends is not a valid answer (%v): do not trust it, ask the run's owner for an address", at, err)
	default:
		return troubled(ErrUnreachable, err, "%s: nobody answers (%s): check that the run is going and that this port is open to this machine", at, shortly(err))
	}
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// clockTrouble reports whether a handshake failed over the validity of the certificates, which starts an hour before they are
// made. libp2p hands on the text of our own check only; the other side's check comes as TLS alert 42. Keys are fresh and
// well-formed on our side, so that time is what is left to dislike.
func clockTrouble(err error) bool {
	for _, text := range []string{"certificate has expired or is not yet valid", "bad certificate", "0x12a"} {
		if strings.Contains(err.Error(), text) {
			return true
		}
	}
	return false
}

// stalled reports whether somebody took too long.
func stalled(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

// shortly is why nobody answers, in a few words. Libp2p hands on the text of most errors only.
func shortly(err error) string {
	for _, text := range []string{"connection refused", "no route to host", "network is unreachable"} {
		if strings.Contains(err.Error(), text) {
			return text
		}
	}
	if errors.Is(err, context.Canceled) {
		return "given up"
	}
	return "the connection broke"
}

// place is an address as the user gave it.
func place(info peer.AddrInfo) string {
	if len(info.Addrs) == 0 {
		return "/p2p/" + info.ID.String()
	}
	return fmt.Sprintf("%s/p2p/%s", info.Addrs[0], info.ID)
}
