package jsonv1

// ProbeSchema is the schema of Probe.
const ProbeSchema = "tcpvet/probe/v1"

// Probe is the document of tcpvet/probe/v1: what was measured of a server, of a path
// or of a peer. What does not belong to its kind is null.
type Probe struct {
	Schema      string   `json:"schema"`
	Kind        string   `json:"kind"` // http, idle or keepalive
	Taken       *string  `json:"taken"`
	TookS       Float    `json:"took_s"`
	Target      string   `json:"target"`
	Remote      *string  `json:"remote"` // that it was measured at, null where nothing connected
	MostS       *Float   `json:"most_s"` // nothing was idle for longer
	Interrupted bool     `json:"interrupted"`
	Text        []string `json:"text"`

	KeepAliveLimit *KeepAliveLimit `json:"keep_alive_limit_s"`
	EndedBy        *string         `json:"ended_by"`
	AnnouncedS     *Float          `json:"announced_s"`
	RequestsLimit  *int            `json:"requests_limit"`
	HTTP           *ProbeHTTP      `json:"http"`

	IdleLimit  *IdleLimit `json:"idle_limit_s"`
	LostHow    *string    `json:"lost_how"`    // rst, silent or server
	WroteBytes *int       `json:"wrote_bytes"` // on each connection of kind idle before it was left idle
	Trials     []Trial    `json:"trials"`      // the connections that were left idle
	Answers    *string    `json:"answers"`     // of the peer to keepalive probes: the fate of a trial
	Probes     *Probes    `json:"probes"`

	Recommend *Recommend `json:"recommend"`
	Remedies  []Remedy   `json:"remedies"`
	Unknown   []string   `json:"unknown"`
}

// KeepAliveLimit encloses how long a server keeps an idle connection. Closed is null
// where it was never seen to close one.
type KeepAliveLimit struct {
	Survived Float  `json:"survived"`
	Closed   *Float `json:"closed"`
}

// IdleLimit encloses how long a path knows an idle connection. Lost is null where it
// was never seen to lose one.
type IdleLimit struct {
	Survived Float  `json:"survived"`
	Lost     *Float `json:"lost"`
}

// Recommend is what to set; null for what is not advised.
type Recommend struct {
	ClientIdleS *Float              `json:"client_idle_s"` // an HTTP client's own limit, at most
	Keepalive   *RecommendKeepalive `json:"keepalive"`
}

// RecommendKeepalive is TCP keepalive that stays inside of a limit.
type RecommendKeepalive struct {
	IdleS     Float `json:"idle_s"`
	IntervalS Float `json:"interval_s"`
	Count     int   `json:"count"`
}
