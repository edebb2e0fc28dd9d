# What the machines of this network send: see configs/sluice.os for the form.
16384:64:1:64:M*,N,N,S,N,W*,N,N,T:OpenBSD:::OpenBSD
S44:64:1:60:M*,S,T,N,W*:Linux:5.0-5.19::Linux 5
