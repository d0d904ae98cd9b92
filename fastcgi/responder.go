package fastcgi

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strconv"
	"time"
)

const (
	// firstByteTimeout is how long a new connection may say nothing (php-src main/fastcgi.c:fcgi_accept_request).
	firstByteTimeout = 5 * time.Second

	// headTimeout is how long the head of a request may take, from its first byte on.
	headTimeout = time.Minute

	// maxParams is how long the parameters of one request may be.
	maxParams = 1 << 20

	// freeParams is how long they may be without taking from the memory of all, see Responder.Share.
	freeParams = 16 << 10

	// bodyPause is how long a web server may pause within a request's body. It waits for its client, which it gives a minute or so.
	bodyPause = 5 * time.Minute

	// lingerTimeout is how long Close waits for a web server that still sends a body nobody wants.
	lingerTimeout = 2 * time.Second

	responderBuffer = 16 << 10

	filterRole = 3 // FCGI_FILTER, FastCGI 1.0 §6.4

	cantMultiplex = 1 // FCGI_CANT_MPX_CONN, FastCGI 1.0 §5.5
	overloaded    = 2 // FCGI_OVERLOADED, FastCGI 1.0 §5.5
	unknownRole   = 3 // FCGI_UNKNOWN_ROLE, FastCGI 1.0 §5.5
)

// Responder is the application side of one FastCGI connection: a web server is at its other end. It carries one request at a
// time, and is used by one goroutine at a time.
type Responder struct {
	nc  net.Conn
	in  *bufio.Reader
	out []byte // encoded, not yet written

	served bool   // a byte was received
	id     uint16 // of the running request, or of the last one
	params []byte

	memory Memory // nil: no bound
	taken  int64  // of it

	content int  // unread content of the current record
	padding int  // unread padding behind it
	over    bool // STDIN has ended
	aborted bool // ABORT_REQUEST was received
	broken  bool // by Break
}

// Memory is what the parameters of all connections have together.
type Memory interface {
	Take(n int64) bool // false: there is not so much
	Give(n int64)
}

// Share has long parameters take their memory from m, and be answered with FCGI_OVERLOADED where there is none.
func (r *Responder) Share(m Memory) { r.memory = m }

// ErrOverloaded says that there was no memory for the parameters of a request; the connection is of no further use.
var ErrOverloaded = errors.New("no memory for the parameters of another request")

// RequestError says that a web server sent what FastCGI 1.0 does not allow it to send; the connection is of no further use.
type RequestError struct {
	Type   RecordType // of the offending record
	Reason string
}

func (e *RequestError) Error() string {
	return "cannot read request: bad " + e.Type.String() + " record: " + e.Reason
}

// NewResponder returns a Responder on an accepted connection, which it owns from then on.
func NewResponder(nc net.Conn) *Responder {
	return &Responder{nc: nc, in: bufio.NewReaderSize(nc, responderBuffer), over: true}
}

// Accept returns the next request when its head is there. It answers management records meanwhile (FastCGI 1.0 §4). io.EOF
// says that the web server closed the connection between requests. A new connection must say something within 5 seconds, as
// php-fpm has it, and a head must be complete within a minute; a deadline that passes is errors.Is os.ErrDeadlineExceeded.
func (r *Responder) Accept() (*Incoming, error) {
	r.forget()
	for {
		if err := r.awaitRecord(); err != nil {
			return nil, err
		}
		t, id, err := r.header()
		switch {
		case err != nil:
			return nil, noEOF(err)
		case id == 0:
			err = r.manage(t)
		case t == TypeBeginRequest:
			in, err := r.begin(id)
			if err == nil && in != nil {
				err = r.nc.SetReadDeadline(time.Time{})
			}
			if err != nil || in != nil {
				return in, noEOF(err)
			}
		case fromWebServer(t): // what is left of a request that was answered already
			err = r.skip()
		default:
			err = &RequestError{Type: t, Reason: "no request has begun"}
		}
		if err != nil {
			return nil, noEOF(err)
		}
	}
}

// awaitRecord waits for the first byte of a record, which may take its time on a connection that has served a request.
func (r *Responder) awaitRecord() error {
	var limit time.Time
	if !r.served {
		limit = time.Now().Add(firstByteTimeout)
	}
	if err := r.nc.SetReadDeadline(limit); err != nil {
		return err
	}
	if err := r.skip(); err != nil {
		return noEOF(err)
	}
	if _, err := r.in.Peek(1); err != nil {
		return err
	}
	r.served = true
	return r.nc.SetReadDeadline(time.Now().Add(headTimeout))
}

// begin reads the rest of a request's head. Nil without an error: the request is over already.
func (r *Responder) begin(id uint16) (*Incoming, error) {
	var body [8]byte // FCGI_BeginRequestBody, FastCGI 1.0 §5.1
	if r.content != len(body) {
		return nil, &RequestError{Type: TypeBeginRequest, Reason: "content of " + strconv.Itoa(r.content) + " bytes instead of 8"}
	}
	if err := r.readContent(body[:]); err != nil {
		return nil, err
	}
	in := &Incoming{Role: binary.BigEndian.Uint16(body[:]), KeepConn: body[2]&flagKeepConn != 0, r: r}
	if in.Role < roleResponder || in.Role > filterRole {
		r.end(id, 0, unknownRole)
		return nil, r.Flush()
	}
	r.id, r.over, r.aborted, r.params = id, false, false, r.params[:0]
	for {
		t, err := r.next()
		switch {
		case errors.Is(err, ErrAborted):
			r.end(id, 0, 0)
			return nil, r.Flush()
		case err != nil:
			return nil, err
		case t != TypeParams:
			return nil, &RequestError{Type: t, Reason: "the parameters have not ended"}
		case r.content == 0:
			in.Params = r.params
			return in, r.skip()
		case len(r.params)+r.content > maxParams:
			return nil, &RequestError{Type: t, Reason: "the parameters are longer than " + strconv.Itoa(maxParams) + " bytes"}
		}
		if !r.room(len(r.params) + r.content) {
			r.end(id, 0, overloaded)
			return nil, errors.Join(ErrOverloaded, r.Flush())
		}
		start := len(r.params)
		r.params = append(r.params, make([]byte, r.content)...)
		if err := r.readContent(r.params[start:]); err != nil {
			return nil, err
		}
	}
}

// room takes memory for parameters of n bytes.
func (r *Responder) room(n int) bool {
	more := int64(n) - r.taken
	if n <= freeParams || r.memory == nil {
		return true
	}
	if !r.memory.Take(more) {
		return false
	}
	r.taken += more
	return true
}

// forget gives the memory of the parameters back.
func (r *Responder) forget() {
	if cap(r.params) > freeParams {
		r.params = nil
	}
	if r.taken > 0 {
		r.memory.Give(r.taken)
		r.taken = 0
	}
}

// next reads the header of the running request's next record, and passes over those of others. ErrAborted: the web server
// gave the request up.
func (r *Responder) next() (RecordType, error) {
	for {
		if err := r.skip(); err != nil {
			return 0, err
		}
		t, id, err := r.header()
		switch {
		case err != nil:
			return t, err
		case id == 0:
			err = r.manage(t)
		case id != r.id && t == TypeBeginRequest:
			r.end(id, 0, cantMultiplex)
			err = r.Flush()
		case id != r.id: // FastCGI 1.0 §3.3: of a request that is not active
		case t == TypeAbortRequest:
			r.aborted, r.over = true, true
			return t, ErrAborted
		default:
			return t, nil
		}
		if err != nil {
			return t, err
		}
	}
}

// manage answers a management record (FastCGI 1.0 §4).
func (r *Responder) manage(t RecordType) error {
	if t != TypeGetValues {
		r.out = AppendRecord(r.out, TypeUnknownType, 0, []byte{byte(t), 0, 0, 0, 0, 0, 0, 0})
		return errors.Join(r.skip(), r.Flush())
	}
	query := make([]byte, r.content)
	if err := r.readContent(query); err != nil {
		return err
	}
	var values []byte
	for len(query) > 0 {
		name, _, rest, err := NextParam(query)
		if err != nil {
			return &RequestError{Type: t, Reason: err.Error()}
		}
		if query = rest; string(name) == "FCGI_MPXS_CONNS" && len(values) == 0 {
			values = AppendParam(values, "FCGI_MPXS_CONNS", "0") // all that php-fpm says (main/fastcgi.c:fcgi_init)
		}
	}
	r.out = AppendRecord(r.out, TypeGetValuesResult, 0, values)
	return r.Flush()
}

// header reads a record's header. When it fails, nothing is lost: it may be called again.
func (r *Responder) header() (t RecordType, id uint16, err error) {
	h, err := r.in.Peek(headerSize)
	if err != nil {
		return 0, 0, err
	}
	t = RecordType(h[1])
	if h[0] != version {
		return t, 0, &RequestError{Type: t, Reason: "version " + strconv.Itoa(int(h[0])) + " instead of 1"}
	}
	id, r.content, r.padding = binary.BigEndian.Uint16(h[2:]), int(binary.BigEndian.Uint16(h[4:])), int(h[6])
	_, err = r.in.Discard(headerSize)
	return t, id, err
}

// skip passes over what is left of a record. It may be called again when it fails.
func (r *Responder) skip() error {
	for _, left := range []*int{&r.content, &r.padding} {
		n, err := r.in.Discard(*left)
		if *left -= n; err != nil {
			return err
		}
	}
	return nil
}

func (r *Responder) readContent(p []byte) error {
	n, err := io.ReadFull(r.in, p)
	r.content -= n
	if err == nil {
		err = r.skip()
	}
	return err
}

// fromWebServer tells whether a record of a request comes from the web server.
func fromWebServer(t RecordType) bool {
	return t == TypeAbortRequest || t == TypeParams || t == TypeStdin || t == TypeData
}

// noEOF is for an end where there must not be one.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (r *Responder) stream(t RecordType, p []byte) error {
	if r.out = AppendStream(r.out, t, r.id, p); len(r.out) < inlineBody {
		return nil
	}
	return r.Flush()
}

func (r *Responder) end(id uint16, appStatus uint32, protocolStatus uint8) {
	var body [endRequestSize]byte
	binary.BigEndian.PutUint32(body[:], appStatus)
	body[4] = protocolStatus
	r.out = AppendRecord(r.out, TypeEndRequest, id, body[:])
}

// Flush sends what is in the buffer.
func (r *Responder) Flush() error {
	if len(r.out) == 0 {
		return nil
	}
	_, err := r.nc.Write(r.out)
	if r.out = r.out[:0]; cap(r.out) > keepBuffer {
		r.out = nil
	}
	return err
}

// Close closes the connection so that an answer is not lost: a socket that is closed with input unread resets the connection,
// and the other side may then lose what it has not read yet.
func (r *Responder) Close() error {
	r.forget()
	half, ok := r.nc.(interface{ CloseWrite() error })
	if r.broken || !ok || r.over && r.content == 0 && r.in.Buffered() == 0 {
		return r.nc.Close()
	}
	if half.CloseWrite() == nil && r.nc.SetReadDeadline(time.Now().Add(lingerTimeout)) == nil {
		_, _ = io.Copy(io.Discard, r.nc) // its end, whichever, is what is waited for
	}
	return r.nc.Close()
}
