# Machines around a bridge, each on a cable of its own: network namespaces and veth pairs. Needs Linux and root. Sourced by the scripts.
#   star up N [RATE]   makes N machines; RATE, such as 20mbit, is what each cable carries each way (tbf at both of its ends)
#   at I CMD …         becomes CMD on machine I, from 0 (10.78.0.I+1): call it in the background or in a subshell
#   star rate RATE     gives the cables another rate
#   star down          removes them
star=st$$
star_machines=0

star_ip() { echo "10.78.0.$(($1 + 1))"; }
at() { local i=$1; shift; exec ip netns exec "$star-$i" "$@"; }

star() {
	case $1 in
	up)
		[ "$(id -u)" -eq 0 ] || { echo "${0##*/}: network namespaces need root" >&2; exit 1; }
		star_machines=$2
		local i rate=${3:-}
		ip netns add "$star-hub"
		ip -n "$star-hub" link add name bridge0 type bridge
		ip -n "$star-hub" link set dev bridge0 up
		for i in $(seq 0 $((star_machines - 1))); do
			ip netns add "$star-$i"
			ip link add name eth netns "$star-$i" type veth peer name "c$i" netns "$star-hub"
			ip -n "$star-hub" link set dev "c$i" master bridge0 gso_max_segs 1 up # one packet is counted as one packet
			ip -n "$star-$i" addr add "$(star_ip "$i")/24" dev eth
			ip -n "$star-$i" link set dev eth gso_max_segs 1 up
			ip -n "$star-$i" link set dev lo up
			ip -n "$star-$i" route add default dev eth # as on a machine with an uplink; nothing is beyond it
		done
		[ -z "$rate" ] || star rate "$rate"
		;;
	rate)
		for i in $(seq 0 $((star_machines - 1))); do
			tc -n "$star-$i" qdisc replace dev eth root tbf rate "$2" burst 32k latency 100ms
			tc -n "$star-hub" qdisc replace dev "c$i" root tbf rate "$2" burst 32k latency 100ms
		done
		;;
	down)
		for i in $(seq 0 $((star_machines - 1))); do ip netns del "$star-$i" 2>/dev/null || true; done
		ip netns del "$star-hub" 2>/dev/null || true
		;;
	esac
}
