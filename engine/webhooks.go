package engine

import (
	"net/http"

	"onsale"
	"onsale/notify"
)

// withSecret is a webhook as it is shown once: when its secret is new.
type withSecret struct {
	*onsale.Webhook
	Secret string `json:"secret"`
}

func (s *Shop) createWebhook(r *request) error {
	var body struct {
		URL    string   `json:"url"`
		Events []string `json:"events"`
	}
	if err := r.read(&body); err != nil {
		return err
	}
	if err := notify.CheckURL(body.URL, s.WebhookLoopback); err != nil {
		return err
	}
	w := onsale.Webhook{URL: body.URL, Events: body.Events}
	if err := w.CompleteEvents(); err != nil {
		return err
	}
	created, err := s.Store.CreateWebhook(r.context(), w)
	if err != nil {
		return err
	}
	return r.created(http.StatusCreated, "/v1/admin/webhooks/"+string(created.ID), withSecret{created, s.WebhookKeys.Secret(created)})
}

func (s *Shop) listWebhooks(r *request) error {
	webhooks, err := s.Store.Webhooks(r.context())
	if err != nil {
		return err
	}
	return r.reply(http.StatusOK, map[string]any{"webhooks": append([]onsale.Webhook{}, webhooks...)})
}

// namedWebhook is the id in the path, if it is one.
func namedWebhook(r *request) (onsale.WebhookID, error) {
	if id := onsale.WebhookID(r.param); id.Valid() {
		return id, nil
	}
	return "", onsale.Refuse(onsale.CodeUnknownWebhook, "there is no such webhook")
}

func (s *Shop) getWebhook(r *request) error {
	id, err := namedWebhook(r)
	if err != nil {
		return err
	}
	w, err := s.Store.Webhook(r.context(), id)
	if err != nil {
		return err
	}
	return r.reply(http.StatusOK, w)
}

func (s *Shop) deleteWebhook(r *request) error {
	id, err := namedWebhook(r)
	if err != nil {
		return err
	}
	if err := s.Store.DeleteWebhook(r.context(), id); err != nil {
		return err
	}
	return r.noContent()
}

func (s *Shop) rotateWebhook(r *request) error {
	id, err := namedWebhook(r)
	if err != nil {
		return err
	}
	w, err := s.Store.RotateWebhook(r.context(), id)
	if err != nil {
		return err
	}
	return r.reply(http.StatusOK, withSecret{w, s.WebhookKeys.Secret(w)})
}

func (s *Shop) enableWebhook(r *request) error {
	id, err := namedWebhook(r)
	if err != nil {
		return err
	}
	w, err := s.Store.EnableWebhook(r.context(), id)
	if err != nil {
		return err
	}
	return r.reply(http.StatusOK, w)
}
