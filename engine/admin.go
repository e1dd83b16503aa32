package engine

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/goccy/go-yaml"

	"onsale"
)

// maxAuditWait is how long an audit may be asked to wait for orders under way.
const maxAuditWait = 300 * time.Second

// ReadEvent reads an event file: YAML, or JSON, which is YAML. It returns a
// bad_event refusal that names what to mend.
func ReadEvent(file []byte) (*onsale.Event, error) {
	text, err := yaml.YAMLToJSON(file)
	if err != nil {
		return nil, onsale.Refuse(onsale.CodeBadEvent, "the event file is not YAML: "+err.Error())
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	e := &onsale.Event{}
	if err := d.Decode(e); err != nil {
		return nil, onsale.Refuse(onsale.CodeBadEvent, "the event file: "+plain(err))
	}
	e.Sale, e.Epoch = "", 0
	if err := e.Complete(); err != nil {
		return nil, err
	}
	return e, nil
}

func (s *Shop) createEvent(r *request) error {
	e, err := ReadEvent(r.ctx.PostBody())
	if err != nil {
		return err
	}
	created, err := s.Sales.Create(r.context(), e)
	if err != nil {
		return err
	}
	if err := s.Catalog.Refresh(r.context()); err != nil {
		return err
	}
	return r.created(http.StatusCreated, "/v1/events/"+string(created.ID), created)
}

func (s *Shop) changeSale(next onsale.Sale) func(*request) error {
	return func(r *request) error {
		e, err := s.Sales.Change(r.context(), onsale.EventID(r.param), next)
		if err != nil {
			return err
		}
		if err := s.Catalog.Refresh(r.context()); err != nil {
			return err
		}
		return r.reply(http.StatusOK, e)
	}
}

func (s *Shop) auditEvent(r *request) error {
	wait := time.Duration(0)
	if text := r.ctx.QueryArgs().Peek("wait"); len(text) > 0 {
		n, err := strconv.Atoi(string(text))
		if err != nil || n < 0 || n > int(maxAuditWait/time.Second) {
			return onsale.Refuse(onsale.CodeBadRequest, "wait must be from 0 to 300 seconds")
		}
		wait = time.Duration(n) * time.Second
	}
	report, err := s.Auditor.Audit(r.context(), onsale.EventID(r.param), wait)
	if err != nil {
		return err
	}
	return r.reply(http.StatusOK, report)
}
