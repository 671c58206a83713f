package recording

import "sync"

// usualServices are TCP services that excerpts name (IANA's registry; the
// aliases are Debian's), so that a text means the same on every machine.
var usualServices = sync.OnceValue(func() map[string]uint16 {
	return map[string]uint16{
		"echo": 7, "discard": 9, "daytime": 13, "chargen": 19,
		"ftp-data": 20, "ftp": 21, "ssh": 22, "telnet": 23, "smtp": 25, "mail": 25, "time": 37, "whois": 43, "tacacs": 49, "domain": 53,
		"gopher": 70, "finger": 79, "http": 80, "www": 80, "kerberos": 88,
		"pop3": 110, "sunrpc": 111, "portmapper": 111, "rpcbind": 111, "auth": 113, "nntp": 119, "ntp": 123,
		"epmap": 135, "loc-srv": 135, "netbios-ns": 137, "netbios-ssn": 139, "imap": 143, "imap2": 143,
		"bgp": 179, "irc": 194, "ldap": 389, "svrloc": 427, "https": 443, "microsoft-ds": 445, "kpasswd": 464, "submissions": 465, "ssmtp": 465, "urd": 465,
		"exec": 512, "login": 513, "shell": 514, "syslog": 514, "printer": 515, "afpovertcp": 548, "rtsp": 554, "nntps": 563, "submission": 587, "ipp": 631, "ldaps": 636, "ldp": 646,
		"domain-s": 853, "rsync": 873, "ftps-data": 989, "ftps": 990, "telnets": 992, "imaps": 993, "pop3s": 995,
		"socks": 1080, "openvpn": 1194, "ms-sql-s": 1433, "ms-sql-m": 1434, "ncube-lm": 1521, "pptp": 1723, "radius": 1812, "mqtt": 1883,
		"nfs": 2049, "nfsd": 2049, "zookeeper": 2181, "docker": 2375, "docker-s": 2376, "etcd-client": 2379, "etcd-server": 2380, "gpsd": 2947,
		"squid": 3128, "iscsi-target": 3260, "mysql": 3306, "ms-wbt-server": 3389, "svn": 3690, "epmd": 4369,
		"sip": 5060, "sip-tls": 5061, "xmpp-client": 5222, "xmpp-server": 5269, "postgresql": 5432, "postgres": 5432, "amqps": 5671, "amqp": 5672, "rfb": 5900, "couchdb": 5984,
		"x11": 6000, "redis": 6379, "ircd": 6667, "ircs-u": 6697, "http-alt": 8080, "webcache": 8080, "pcsync-https": 8443, "secure-mqtt": 8883,
		"git": 9418, "bacula-dir": 9101, "zabbix-agent": 10050, "zabbix-trapper": 10051, "amanda": 10080, "memcache": 11211, "mongodb": 27017,
	}
})
