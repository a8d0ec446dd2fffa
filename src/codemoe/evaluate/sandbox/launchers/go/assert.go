// Package assert stands in for github.com/stretchr/testify/assert, which suites compare with.
package assert

import (
	"bytes"
	"reflect"
	"testing"
)

// Assertions reports to one test.
type Assertions struct{ t *testing.T }

// New makes the assertions of a test.
func New(t *testing.T) *Assertions { return &Assertions{t} }

func same(expected, actual interface{}) bool {
	left, isBytes := expected.([]byte)
	right, areBytes := actual.([]byte)
	if isBytes && areBytes && left != nil && right != nil {
		return bytes.Equal(left, right)
	}
	return reflect.DeepEqual(expected, actual)
}

func isNil(value interface{}) bool {
	if value == nil {
		return true
	}
	switch of := reflect.ValueOf(value); of.Kind() {
	case reflect.Chan, reflect.Func, reflect.Interface, reflect.Map, reflect.Ptr, reflect.Slice:
		return of.IsNil()
	}
	return false
}

func check(t *testing.T, ok bool, values ...interface{}) bool {
	if !ok {
		t.Errorf("assertion failed: %v", values)
	}
	return ok
}

// Equal compares as testify does: deeply, types included.
func Equal(t *testing.T, expected, actual interface{}, _ ...interface{}) bool {
	return check(t, same(expected, actual), expected, actual)
}

// NotEqual is the opposite of Equal.
func NotEqual(t *testing.T, expected, actual interface{}, _ ...interface{}) bool {
	return check(t, !same(expected, actual), expected, actual)
}

// True wants true.
func True(t *testing.T, value bool, _ ...interface{}) bool { return check(t, value) }

// False wants false.
func False(t *testing.T, value bool, _ ...interface{}) bool { return check(t, !value) }

// Nil wants nil.
func Nil(t *testing.T, value interface{}, _ ...interface{}) bool {
	return check(t, isNil(value), value)
}

// NotNil wants anything else.
func NotNil(t *testing.T, value interface{}, _ ...interface{}) bool { return check(t, !isNil(value)) }

// Equal compares deeply.
func (a *Assertions) Equal(expected, actual interface{}, _ ...interface{}) bool {
	return Equal(a.t, expected, actual)
}

// NotEqual is the opposite of Equal.
func (a *Assertions) NotEqual(expected, actual interface{}, _ ...interface{}) bool {
	return NotEqual(a.t, expected, actual)
}

// True wants true.
func (a *Assertions) True(value bool, _ ...interface{}) bool { return True(a.t, value) }

// False wants false.
func (a *Assertions) False(value bool, _ ...interface{}) bool { return False(a.t, value) }

// Nil wants nil.
func (a *Assertions) Nil(value interface{}, _ ...interface{}) bool { return Nil(a.t, value) }

// NotNil wants anything else.
func (a *Assertions) NotNil(value interface{}, _ ...interface{}) bool { return NotNil(a.t, value) }
