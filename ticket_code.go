package onsale

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
)

// A ticket's code says what it admits to, and an Ed25519 signature (RFC 8032) follows:
//
//	version   1 byte: 1
//	serial, number of the ticket, epoch of its order: a uvarint each
//	random    16 bytes: those of the order's id
//	event, section, seat: a length byte and so many bytes each; a general place has seat ""
//	signature 64 bytes, over codeDomain and all of the above
//
// It is written in base 32 (RFC 4648, capitals, no padding), which QR codes have a mode
// of their own for: 5.5 bits a character. That makes 102 bytes, a code of 164 characters
// and 45 modules a side, of "concert", "stand", "A-1". Whoever has the public key can
// check it without asking anyone; whether it is the latest of its ticket, and
// whether it has been used, only the gate's server knows.
const (
	codeVersion = 1
	// codeDomain keeps the signature from being taken for one of anything else that the key may ever sign.
	codeDomain = "onsale ticket code 1\x00"
	// maxCodeLength is longer than any code, in characters: the longest names make 210 bytes.
	maxCodeLength = 400
)

var codeEncoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// TicketKey derives the key that signs ticket codes from the installation's
// secret, so that there is one secret to keep.
func TicketKey(secret []byte) ed25519.PrivateKey {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("onsale ticket key 1")) // hash.Hash never returns an error
	return ed25519.NewKeyFromSeed(mac.Sum(nil))
}

// Sign sets the ticket's code. The same ticket and serial always have the same one,
// so codes needn't be kept. The ticket's id must be one, as OrderID.Ticket gives it:
// anything else is a programming mistake, and panics.
func (t *Ticket) Sign(key ed25519.PrivateKey) {
	order, number, ok := t.ID.Parse()
	if !ok {
		panic("no ticket has the id " + string(t.ID))
	}
	event, epoch, random := order.parts()
	code := append(make([]byte, 0, maxCodeLength), codeDomain...)
	code = append(code, codeVersion)
	code = binary.AppendUvarint(code, uint64(t.Serial))
	code = binary.AppendUvarint(code, uint64(number))
	code = binary.AppendUvarint(code, uint64(epoch))
	code = append(code, random[:]...)
	for _, text := range []string{string(event), t.Section, t.Seat} {
		code = append(append(code, byte(len(text))), text...)
	}
	code = append(code, ed25519.Sign(key, code)...)
	t.Code = codeEncoding.EncodeToString(code[len(codeDomain):])
}

// VerifyCode returns what a ticket code admits to: the ticket's id, order, event,
// section, seat and serial. ok is false if the code was not signed with the key that
// belongs to public, which must be one, or not written exactly as Sign does.
func VerifyCode(public ed25519.PublicKey, code string) (t Ticket, ok bool) {
	if len(code) > maxCodeLength {
		return Ticket{}, false
	}
	data, err := codeEncoding.DecodeString(code)
	end := len(data) - ed25519.SignatureSize
	// The decoder forgives line ends and stray bits at the end; one ticket has one code.
	if err != nil || end < 1 || codeEncoding.EncodeToString(data) != code {
		return Ticket{}, false
	}
	signed := append([]byte(codeDomain), data[:end]...)
	if !ed25519.Verify(public, signed, data[end:]) || data[0] != codeVersion {
		return Ticket{}, false
	}
	r := codeReader{rest: data[1:end]}
	serial, number, epoch := r.uvarint(), r.uvarint(), r.uvarint()
	var random [randomBytes]byte
	copy(random[:], r.take(randomBytes))
	event, section, seat := r.text(), r.text(), r.text()
	if r.lost || len(r.rest) > 0 {
		return Ticket{}, false
	}
	order := holdID(EventID(event), Epoch(epoch), encoding.EncodeToString(random[:])).Order()
	return Ticket{ID: order.Ticket(int(number)), Order: order, Event: EventID(event), Section: section, Seat: seat,
		Serial: int(serial), Code: code}, true
}

// codeReader goes through a code's bytes. Once it is lost it stays lost.
type codeReader struct {
	rest []byte
	lost bool
}

func (r *codeReader) uvarint() uint64 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 {
		r.lost = true
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

func (r *codeReader) take(n int) []byte {
	if n > len(r.rest) {
		r.lost = true
		return nil
	}
	taken := r.rest[:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *codeReader) text() string {
	length := r.take(1)
	if length == nil {
		return ""
	}
	return string(r.take(int(length[0])))
}
