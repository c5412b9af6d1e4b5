# Two machines with a cable between them: two network namespaces and a veth pair. Needs Linux and root. Sourced by the scripts.
#   link up [RATE]     makes them; RATE, such as 20mbit, is what the cable carries each way
#   near CMD …         becomes CMD on the near machine (10.77.0.1): call it in the background or in a subshell
#   far CMD …          becomes CMD on the far machine (10.77.0.2)
#   link rx|tx         bytes that the far machine's interface has received or sent, headers included
#   link down          removes them
near_ip=10.77.0.1
far_ip=10.77.0.2
net=sk$$

near() { exec ip netns exec "${net}n" "$@"; }
far() { exec ip netns exec "${net}f" "$@"; }

link() {
	case $1 in
	up)
		[ "$(id -u)" -eq 0 ] || { echo "${0##*/}: network namespaces need root" >&2; exit 1; }
		ip netns add "${net}n"
		ip netns add "${net}f"
		ip link add "${net}a" netns "${net}n" type veth peer name "${net}b" netns "${net}f"
		local side dev
		for side in "n ${net}a $near_ip" "f ${net}b $far_ip"; do
			set -- "$1" "${2:-}" $side
			dev=$4
			ip -n "$net$3" addr add "$5/24" dev "$dev"
			ip -n "$net$3" link set dev "$dev" gso_max_segs 1 up # one packet is counted as one packet
			ip -n "$net$3" link set dev lo up
			ip -n "$net$3" route add default dev "$dev" # as on a machine with an uplink; nothing is beyond it
			[ -z "$2" ] || tc -n "$net$3" qdisc add dev "$dev" root tbf rate "$2" burst 32k latency 100ms
		done
		;;
	rx | tx) ip netns exec "${net}f" cat "/sys/class/net/${net}b/statistics/$1_bytes" ;;
	down) ip netns del "${net}n" 2>/dev/null; ip netns del "${net}f" 2>/dev/null || true ;;
	esac
}
