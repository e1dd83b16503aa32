package notify

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"time"

	"onsale"
)

// RotationTime is how long the secret before signs too, after a webhook's was rotated.
const RotationTime = 24 * time.Hour

// secretPrefix is before a secret's text: Standard Webhooks.
const secretPrefix = "whsec_"

// Keyring derives the webhooks' secrets from the installation's, so that none is stored:
// whoever reads the tables can't sign. Safe for concurrent use.
type Keyring struct{ secret []byte }

// NewKeyring returns the keyring of an installation.
func NewKeyring(secret []byte) Keyring { return Keyring{secret} }

// Secret returns the text of a webhook's secret, "whsec_…", by its id and version.
func (k Keyring) Secret(w *onsale.Webhook) string {
	return secretPrefix + base64.StdEncoding.EncodeToString(k.key(w.ID, w.Version))
}

func (k Keyring) key(id onsale.WebhookID, version int) []byte {
	mac := hmac.New(sha256.New, k.secret)
	mac.Write([]byte("onsale webhook key 1\x00" + string(id) + "\x00" + strconv.Itoa(version))) // never fails
	return mac.Sum(nil)
}

// sign returns the value of the webhook-signature header: one signature or, for a while
// after the secret was rotated, two.
// Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
func (k Keyring) sign(w *onsale.Webhook, id onsale.DeliveryID, now time.Time, body []byte) string {
	signatures := signature(k.key(w.ID, w.Version), id, now, body)
	if w.RotatedAt != nil && w.Version > 1 && now.Before(w.RotatedAt.Add(RotationTime)) {
		signatures += " " + signature(k.key(w.ID, w.Version-1), id, now, body)
	}
	return signatures
}

func signature(key []byte, id onsale.DeliveryID, now time.Time, body []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(string(id) + "." + strconv.FormatInt(now.Unix(), 10) + ".")) // never fails
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
