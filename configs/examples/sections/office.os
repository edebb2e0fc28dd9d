# window:ttl:df:size:options:class:version:subtype:description
S44:64:1:60:M*,S,T,N,W*:Linux:5.0-5.19::Linux 5
8192:128:1:52:M*,N,W*,N,N,S:Windows:10::Windows 10
