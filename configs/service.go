package configs

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
)

// checkService looks whether s is the URL of a pinning service that a token may be sent to: https, or http to this machine.
// What would give a secret away, or belongs to a single request, is refused.
func checkService(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		return errors.New("want a URL like https://pins.example/psa")
	case u.User != nil:
		return errors.New("a run file is no place for a user or password: the access token comes from the environment, SKEIN_PIN_TOKEN")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return errors.New("want a URL without ? and #")
	case u.Scheme == "http" && !thisMachine(u.Hostname()):
		return errors.New("use https: the access token would be readable on the way")
	}
	return nil
}

// thisMachine tells whether a host is the machine itself.
func thisMachine(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// services checks the pinning services of checkpoint.remote, each once.
func (r *relations) services(urls []string) {
	seen := map[string]bool{}
	for i, s := range urls {
		err := checkService(s)
		if err == nil && seen[s] {
			err = errors.New("it is there twice")
		}
		if err != nil {
			r.fail(element("checkpoint.remote", i)+" checkpoint.remote", fmt.Sprintf("checkpoint.remote: %q: %v", s, err), "")
		}
		seen[s] = true
	}
}
