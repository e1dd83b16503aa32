package engine

import (
	"strings"
	"testing"

	"onsale"
)

func TestAContactIsItsBuyersAloneAndGoesWhenErased(t *testing.T) {
	h := newHouse(t)
	mine, other := h.signIn(), h.signIn()
	h.refused(404, onsale.CodeUnknownContact, h.do("GET", "/v1/contact", mine, ""))
	h.want(200, h.do("PUT", "/v1/contact", mine, `{"email":"friend@example.com"}`), nil)
	h.want(200, h.do("PUT", "/v1/contact", mine, `{"email":"friend@example.com"}`), nil)
	var c onsale.Contact
	if h.want(200, h.do("GET", "/v1/contact", mine, ""), &c); c.Email != "friend@example.com" {
		t.Errorf("%+v", c)
	}
	h.refused(404, onsale.CodeUnknownContact, h.do("GET", "/v1/contact", other, ""))
	h.want(204, h.do("DELETE", "/v1/contact", other, ""), nil)
	h.want(200, h.do("GET", "/v1/contact", mine, ""), nil)
	for _, body := range []string{
		``, `{}`, `{"email":""}`, `{"email":"nobody"}`, `{"email":"a@b.example\r\nBcc: c@d.example"}`, `{"email":"a b@c.example"}`, `{"email":"A <a@b.example>"}`,
		`{"email":"a@b.example, c@d.example"}`, `{"email":"żółć@example.com"}`, `{"email":"a\u0000@b.example"}`, `{"email":"a@b.example","phone":"1"}`, `{"email":7}`,
		`{"email":"` + strings.Repeat("a", 65) + `@example.com"}`, `{"email":"a@` + strings.Repeat("a.", 130) + `example"}`,
	} {
		a := h.refused(400, onsale.CodeBadRequest, h.do("PUT", "/v1/contact", mine, body))
		if strings.Contains(string(a.body), "b.example") {
			t.Errorf("the refusal repeats the address: %s", a.body)
		}
	}
	h.want(204, h.do("DELETE", "/v1/contact", mine, ""), nil)
	h.want(204, h.do("DELETE", "/v1/contact", mine, ""), nil)
	h.refused(404, onsale.CodeUnknownContact, h.do("GET", "/v1/contact", mine, ""))
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		h.refused(401, onsale.CodeUnauthenticated, h.do(method, "/v1/contact", "", ""))
	}
}

func TestAWebhooksSecretIsShownWhenItIsNewAndToOperatorsAlone(t *testing.T) {
	h := newHouse(t)
	buyer := h.signIn()
	var created, rotated struct {
		onsale.Webhook
		Secret string
	}
	const url = "https://hooks.example.com/orders"
	a := h.want(201, h.operator("POST", "/v1/admin/webhooks", `{"url":"`+url+`","events":["order.ticketed","order.ticketed"]}`), &created)
	place := a.header.Get("Location")
	if place != "/v1/admin/webhooks/"+string(created.ID) || !strings.HasPrefix(created.Secret, "whsec_") || len(created.Events) != 1 {
		t.Errorf("%s: %+v", place, created)
	}
	h.refused(409, onsale.CodeWebhookExists, h.operator("POST", "/v1/admin/webhooks", `{"url":"`+url+`"}`))
	for _, path := range []string{place, "/v1/admin/webhooks"} {
		if a := h.want(200, h.operator("GET", path, ""), nil); strings.Contains(string(a.body), "whsec_") || !strings.Contains(string(a.body), url) {
			t.Errorf("%s: %s", path, a.body)
		}
	}
	h.want(200, h.operator("POST", place+"/rotate", ""), &rotated)
	if rotated.Secret == created.Secret || !strings.HasPrefix(rotated.Secret, "whsec_") || rotated.Version != 2 || rotated.RotatedAt == nil {
		t.Errorf("%+v", rotated)
	}
	h.want(200, h.operator("POST", place+"/enable", ""), nil)
	for _, body := range []string{`{}`, `{"url":"http://hooks.example.com/"}`, `{"url":"https://127.0.0.1/"}`, `{"url":"https://169.254.169.254/"}`, `{"url":"https://localhost/"}`,
		`{"url":"https://u:p@hooks.example.com/"}`, `{"url":"https://hooks.example.com/","events":["order.claimed"]}`, `{"url":"https://hooks.example.com/","colour":"red"}`} {
		h.refused(400, onsale.CodeBadRequest, h.operator("POST", "/v1/admin/webhooks", body))
	}
	const nowhere = "/v1/admin/webhooks/whk_00000000000000000000000000"
	for _, c := range [][2]string{{"GET", ""}, {"DELETE", ""}, {"POST", "/rotate"}, {"POST", "/enable"}} {
		h.refused(404, onsale.CodeUnknownWebhook, h.operator(c[0], nowhere+c[1], ""))
		h.refused(404, onsale.CodeUnknownWebhook, h.operator(c[0], "/v1/admin/webhooks/%00"+c[1], ""))
		h.refused(403, onsale.CodeForbidden, h.do(c[0], place+c[1], buyer, ""))
		h.refused(401, onsale.CodeUnauthenticated, h.do(c[0], place+c[1], "", ""))
	}
	h.refused(403, onsale.CodeForbidden, h.do("POST", "/v1/admin/webhooks", buyer, `{"url":"https://b.example/"}`))
	h.refused(403, onsale.CodeForbidden, h.do("GET", "/v1/admin/webhooks", buyer, ""))
	h.want(204, h.operator("DELETE", place, ""), nil)
	h.refused(404, onsale.CodeUnknownWebhook, h.operator("DELETE", place, ""))
}
