package bench

// Client asks an Onsale over HTTP, for the scenarios of other packages. Safe for
// concurrent use: whoever finds every connection busy waits for one, and the wait counts
// as the server's latency.
type Client struct {
	api *api
	m   measured
}

// Ask is one request of a Client.
type Ask struct {
	Method, Path string
	Token        string // the bearer's; "" for none
	Key          string // the Idempotency-Key; "" for none
	Body         any    // sent as JSON; nil for none
}

// NewClient returns a client of an http URL. It dials nothing yet.
func NewClient(target string) (*Client, error) {
	c := &Client{}
	var err error
	c.api, err = newAPI(target, &c.m)
	return c, err
}

// Send sends a request once and decodes a 2xx answer into the given value, if any. A
// refusal comes back as an *onsale.Error.
func (c *Client) Send(ask Ask, into any) error {
	return c.api.send(request{method: ask.Method, path: ask.Path, token: ask.Token, key: ask.Key, body: ask.Body, wait: defaultResultTimeout}, into)
}

// Close closes the connections that are in nobody's hands.
func (c *Client) Close() { c.api.close() }
