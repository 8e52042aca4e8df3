package gcpsmtest

import (
	"bytes"
	"hash/crc32"
	"time"

	pb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
)

// addSecretVersion appends a version. There is no precondition, no etag and no
// request id: the same request again makes another version.
func (s *Server) addSecretVersion(in *pb.AddSecretVersionRequest) (*pb.SecretVersion, error) {
	t, err := s.take(in)
	if err != nil {
		return nil, err
	}
	return s.fillIn(t)
}

// A taken number is one that a version will have. "SecretVersion IDs in a Secret
// start at 1 and are incremented for each subsequent version of the secret."
type taken struct {
	resource
	seq     int // the secret that it was taken of, which may have been deleted since
	number  int64
	at      time.Time
	payload []byte
	checked bool
	keys    *keys
}

// takeNumber is take for those who hold no lock.
func (s *Server) takeNumber(in *pb.AddSecretVersionRequest) (taken, error) {
	return step(s, s.take, in)
}

// take checks the request and uses up a number.
func (s *Server) take(in *pb.AddSecretVersionRequest) (taken, error) {
	r, err := s.parse(in.GetParent(), secretName)
	if err != nil {
		return taken{}, err
	}
	if err := checkPayload(in.GetPayload()); err != nil {
		return taken{}, err
	}
	if err := s.admit(adding, r); err != nil {
		return taken{}, err
	}
	old := s.newest(r)
	if old == nil {
		return taken{}, errNoSecret(r)
	}
	sec := old.clone()
	sec.next++
	s.store(r, sec)
	return taken{
		resource: r,
		seq:      old.seq,
		number:   old.next,
		at:       s.now(),
		payload:  bytes.Clone(in.GetPayload().GetData()),
		checked:  in.GetPayload().DataCrc32C != nil,
		keys:     keysOf(old.meta),
	}, nil
}

// fill is fillIn for those who hold no lock.
func (s *Server) fill(t taken) (*pb.SecretVersion, error) { return step(s, s.fillIn, t) }

// fillIn makes the version readable.
func (s *Server) fillIn(t taken) (*pb.SecretVersion, error) {
	old := s.newest(t.resource)
	if old == nil || old.seq != t.seq {
		return nil, errNoSecret(t.resource)
	}
	v := &version{
		number:  t.number,
		state:   pb.SecretVersion_ENABLED,
		payload: t.payload,
		checked: t.checked,
		created: t.at,
		etag:    s.etag(),
		keys:    t.keys,
	}
	sec := old.clone()
	sec.put(v)
	s.store(t.resource, sec)
	return v.message(t.resource), nil
}

// checkPayload verifies the checksum if the client sent one.
//
// https://cloud.google.com/secret-manager/docs/data-integrity
func checkPayload(p *pb.SecretPayload) error {
	switch n := len(p.GetData()); {
	case n == 0:
		return errNoPayload()
	case n > maxPayload:
		return errPayloadSize()
	}
	if p.DataCrc32C != nil && p.GetDataCrc32C() != checksum(p.GetData()) {
		return errChecksum()
	}
	return nil
}

// checksum is CRC32C: "The CRC32C value is encoded as a Int64 for compatibility".
func checksum(data []byte) int64 {
	return int64(crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)))
}
