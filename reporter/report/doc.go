// Package report makes inspection reports: definitions and the clock come in, claimed due times go to the store, and a
// claimed due time comes in again to go out as a Report.
package report
