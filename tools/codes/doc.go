// Package codes holds the page of every problem code the tools print: what it
// means, what it puts in danger, and the cure. `ebofs man CODE` shows a page,
// ebofs-codes(7) holds them all.
//
// A code is E- (an error: something is wrong or was refused) or W- (a warning:
// something is odd, nothing is lost). Codes are never reused for another
// meaning. Tests demand a page for each code a tool or fsck can give.
package codes
