// Package clstest runs methods of object classes in tests as an OSD runs them: in
// requests on one object, carried out by osd/ops on a store in memory.
package clstest
