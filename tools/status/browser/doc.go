// Package browser tests the status page in a real Chromium: with what a fixture
// shows and with a live cluster, by day and by night, with JavaScript and without.
// It is a module of its own, so that nothing of it is linked elsewhere.
package browser
