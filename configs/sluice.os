# Fingerprints of operating systems, for `os` in rules: what their SYNs look
# like, as anybody sees them on the wire. These are what sluice goes by where a
# ruleset does not name a file of its own (set fingerprints). They are few: for
# more systems, take the file of your own.
#
# window:ttl:df:size:options:class:version:subtype:description
#
# window   bytes; Snn: so many times the MSS; Tnn: of the MSS and 40; %nn: a
#          multiple; *: any
# ttl      when it was sent; one that is up to 40 less has come far
# df       1: "do not fragment"; IPv6 counts as 1
# size     of the IPv4 packet; IPv6 is 20 bytes longer; %nn, *
# options  N: NOP, Mnn: MSS, Wnn: window scale, S: SACK permitted, T:
#          timestamps, T0: of zero; in their order; nn may be %nn or *; .: none
# class    @: what several systems have, *: there are no versions to tell
# version  a range stands for each of it, too: 3.0-3.10

# Linux, by the window that it begins with, in units of the MSS.
S4:64:1:60:M*,S,T,N,W*:Linux:2.4::Linux 2.4
S4:64:1:60:M*,S,T,N,W*:Linux:2.6::Linux 2.6
S10:64:1:60:M*,S,T,N,W*:Linux:3.0-3.10::Linux 3.0 to 3.10
S20:64:1:60:M*,S,T,N,W*:Linux:3.11-3.19::Linux 3.11 to 3.19
S20:64:1:60:M*,S,T,N,W*:Linux:4.0-4.19::Linux 4.0 to 4.19
S44:64:1:60:M*,S,T,N,W*:Linux:4.20::Linux 4.20
S44:64:1:60:M*,S,T,N,W*:Linux:5.0-5.19::Linux 5
S44:64:1:60:M*,S,T,N,W*:Linux:6.0-6.19::Linux 6
# ... without timestamps.
S44:64:1:52:M*,N,N,S,N,W*:Linux:::Linux without timestamps
S20:64:1:52:M*,N,N,S,N,W*:Linux:::Linux without timestamps

# The BSDs.
16384:64:1:64:M*,N,N,S,N,W*,N,N,T:OpenBSD:::OpenBSD
65535:64:1:60:M*,N,W*,S,T:FreeBSD:::FreeBSD
65535:64:1:56:M*,N,W*,S,N,N:FreeBSD:::FreeBSD without timestamps

# Apple's.
65535:64:1:64:M*,N,W*,N,N,T,S:MacOS:::macOS and iOS

# Windows.
65535:128:1:48:M*,N,N,S:Windows:XP::Windows XP
64240:128:1:48:M*,N,N,S:Windows:XP::Windows XP
8192:128:1:52:M*,N,W*,N,N,S:Windows:7::Windows 7
8192:128:1:52:M*,N,W*,N,N,S:Windows:8::Windows 8
8192:128:1:52:M*,N,W*,N,N,S:Windows:10::Windows 10
64240:128:1:52:M*,N,W*,N,N,S:Windows:10::Windows 10
64240:128:1:52:M*,N,W*,N,N,S:Windows:11::Windows 11
65535:128:1:52:M*,N,W*,N,N,S:Windows:10::Windows 10
65535:128:1:52:M*,N,W*,N,N,S:Windows:11::Windows 11

# Scanners.
1024:64:0:44:M1460:NMAP:syn scan::nmap -sS
2048:64:0:44:M1460:NMAP:syn scan::nmap -sS
3072:64:0:44:M1460:NMAP:syn scan::nmap -sS
4096:64:0:44:M1460:NMAP:syn scan::nmap -sS
1024:64:0:40:.:NMAP:syn scan:old:nmap -sS, before version 5
2048:64:0:40:.:NMAP:syn scan:old:nmap -sS, before version 5
3072:64:0:40:.:NMAP:syn scan:old:nmap -sS, before version 5
4096:64:0:40:.:NMAP:syn scan:old:nmap -sS, before version 5
