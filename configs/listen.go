package configs

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// checkListen looks whether s is plausibly a multiaddress to listen on, an IP address with a TCP or QUIC port, and
// tells whether only this machine can reach it. The network layer has the last word.
func checkListen(s string) (loopback bool, err error) {
	part := strings.Split(s, "/")
	if len(part) < 5 || part[0] != "" {
		return false, errors.New("want /ip4/ADDRESS/tcp/PORT or /ip4/ADDRESS/udp/PORT/quic-v1")
	}
	ip, err := netip.ParseAddr(part[2])
	switch {
	case part[1] != "ip4" && part[1] != "ip6":
		return false, fmt.Errorf("want ip4 or ip6 first, got %q", part[1])
	case err != nil || ip.Is4() != (part[1] == "ip4"):
		return false, fmt.Errorf("%q is no %s address", part[2], part[1])
	}
	if _, err := strconv.ParseUint(part[4], 10, 16); err != nil {
		return false, fmt.Errorf("%q is no port (0 to 65535)", part[4])
	}
	switch rest := strings.Join(part[5:], "/"); {
	case part[3] == "tcp" && rest == "", part[3] == "udp" && rest == "quic-v1":
		return ip.IsLoopback(), nil
	case part[3] == "udp" && rest == "":
		return false, errors.New("a udp address needs /quic-v1 behind the port")
	}
	return false, fmt.Errorf("%q is neither tcp/PORT nor udp/PORT/quic-v1", strings.Join(part[3:], "/"))
}
