package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/urfave/cli/v3"

	"onsale/checkout/payment"
	"onsale/checkout/payment/stripe"
)

// The payment providers that there are.
const (
	providerSimulator = "simulator"
	providerStripe    = "stripe"
)

// minPaymentTimeout leaves a provider the time to come back from a short outage.
const minPaymentTimeout = time.Minute

// checkPayments refuses a provider that there isn't or that can't be asked.
func (s *settings) checkPayments(c *cli.Command) error {
	switch s.paymentProvider {
	case "", providerSimulator:
		return nil
	case providerStripe:
	default:
		return wrong("--payment-provider %q must be simulator or stripe", s.paymentProvider)
	}
	if s.stripeKey == "" {
		return wrong("--payment-provider stripe needs --stripe-key (or ONSALE_STRIPE_KEY): the account's secret or restricted key")
	}
	if !c.IsSet("payments") {
		s.payments = stripe.DefaultURL // the flag's default is the simulator's
	}
	return nil
}

// openProvider makes the provider's client and its closing.
func (s *settings) openProvider() (p payment.Provider, closing func(), err error) {
	if s.paymentProvider == providerStripe {
		p, err := stripe.New(stripe.Config{URL: s.payments, Key: s.stripeKey, Installation: s.installation()})
		if err != nil {
			return nil, nil, err
		}
		return p, p.Close, nil
	}
	c, err := payment.NewClient(payment.ClientConfig{URL: s.payments})
	if err != nil {
		return nil, nil, err
	}
	return c, c.Close, nil
}

// notices reads the provider's webhooks; nil without a secret: anyone could sign them.
func (s *settings) notices() payment.Notices {
	switch {
	case s.webhookSecret == "":
		return nil
	case s.paymentProvider == providerStripe:
		return stripe.NewNotices([]byte(s.webhookSecret), s.installation())
	}
	return payment.NewWebhooks([]byte(s.webhookSecret))
}

// installation is a name for what shares one secret, by which it knows its own at a
// provider that serves others too. It tells nothing of the secret.
func (s *settings) installation() string {
	mac := hmac.New(sha256.New, []byte(s.secret))
	mac.Write([]byte("payment installation"))
	return hex.EncodeToString(mac.Sum(nil)[:8])
}
