package onsale

import (
	"slices"
	"strings"
	"time"
)

// MaxWebhooks is how many webhooks an installation may have: each has a lane of its own
// in every process that tells.
const MaxWebhooks = 50

// WebhookID names a webhook, "whk_…".
type WebhookID string

const webhookPrefix = "whk_"

// NewWebhookID returns an id that can't be guessed.
func NewWebhookID() WebhookID { return WebhookID(webhookPrefix + randomText()) }

// Valid reports whether the id has a webhook's form.
func (id WebhookID) Valid() bool {
	text, ok := strings.CutPrefix(string(id), webhookPrefix)
	return ok && isRandom(text)
}

// Lane is where the webhook's deliveries wait.
func (id WebhookID) Lane() Lane { return Lane(id) }

// Webhook is where an operator wants orders' news to be posted. Its secret is stored
// nowhere: it is derived from the installation's, the webhook's id and its version.
type Webhook struct {
	ID             WebhookID  `json:"id"`
	URL            string     `json:"url"`
	Events         []string   `json:"events"`               // those of NewsTypes that it is told
	Version        int        `json:"version"`              // of its secret; rises when it is rotated
	RotatedAt      *time.Time `json:"rotated_at,omitempty"` // the secret before signs too, for a while
	CreatedAt      time.Time  `json:"created_at"`
	DisabledAt     *time.Time `json:"disabled_at,omitempty"` // it is told nothing until it is enabled
	DisabledReason string     `json:"disabled_reason,omitempty"`
}

// CompleteEvents checks the types of news that are asked for; none means all of them. It
// refuses an unknown one with CodeBadRequest.
func (w *Webhook) CompleteEvents() error {
	if len(w.Events) == 0 {
		w.Events = NewsTypes()
		return nil
	}
	for _, e := range w.Events {
		if !slices.Contains(NewsTypes(), e) {
			return Refuse(CodeBadRequest, "there is no news "+quote(e)+": choose from "+strings.Join(NewsTypes(), ", "))
		}
	}
	slices.Sort(w.Events)
	w.Events = slices.Compact(w.Events)
	return nil
}
