#!/bin/sh
# What dhclient has to say, done with iproute2 and with nothing of the machine
# but the interface.
case $reason in
  PREINIT | PREINIT6)
    ip link set "$interface" up
    ;;
  BOUND | RENEW | REBIND | REBOOT)
    [ "$old_ip_address" = "$new_ip_address" ] || [ -z "$old_ip_address" ] ||
      ip -4 address flush dev "$interface"
    ip -4 address replace "$new_ip_address/$new_subnet_mask" dev "$interface"
    ip -4 route replace default via "${new_routers%% *}" dev "$interface"
    ;;
  BOUND6 | RENEW6 | REBIND6)
    ip -6 address replace "$new_ip6_address/128" dev "$interface" nodad
    ;;
  EXPIRE | RELEASE | STOP)
    ip -4 address flush dev "$interface"
    ;;
  EXPIRE6 | RELEASE6 | STOP6 | DEPREF6)
    ip -6 address delete "$old_ip6_address/128" dev "$interface"
    ;;
esac
exit 0
