// Package neterr names the cause of a failed connection: an error of net, crypto/tls or crypto/x509 comes in, a short text without
// addresses, names and secrets goes out.
package neterr

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// The causes, in words that users search for.
const (
	Refused       = "connection refused"
	HostNotFound  = "host not found"
	NoResolver    = "host name cannot be resolved now"
	Unreachable   = "host unreachable"
	NoSocket      = "no such socket"
	NotTrusted    = "certificate not trusted"
	Expired       = "certificate expired or not yet valid"
	HostMismatch  = "certificate host mismatch"
	WithoutTLS    = "server without TLS"
	TLSFailed     = "TLS handshake failed"
	TimedOut      = "timeout"
	Lost          = "connection lost"
	cancelledText = "cancelled"
)

// Cause returns the cause of err, or "" if err is not an error of a connection.
func Cause(err error) string {
	if cause := certificate(err); cause != "" {
		return cause
	}
	var dns *net.DNSError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var timeout net.Error
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return HostNotFound
	case errors.As(err, &dns) && !dns.IsTimeout:
		return NoResolver
	case errors.As(err, &record):
		return WithoutTLS
	case errors.As(err, &alert):
		return TLSFailed
	case errors.Is(err, syscall.ECONNREFUSED):
		return Refused
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EADDRNOTAVAIL):
		return Unreachable
	case errors.Is(err, os.ErrNotExist):
		return NoSocket
	case errors.Is(err, context.Canceled):
		return cancelledText
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return TimedOut
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return Lost
	}
	return ""
}

func certificate(err error) string {
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var authority x509.UnknownAuthorityError
	var verification *tls.CertificateVerificationError
	switch {
	case errors.As(err, &name):
		return HostMismatch
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return Expired
	case errors.As(err, &invalid), errors.As(err, &authority), errors.As(err, &verification):
		return NotTrusted
	}
	return ""
}
