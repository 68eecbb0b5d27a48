package crush

import (
	"encoding/xml"
	"strconv"
)

// dumpWeights is a weight set as the XML has it.
type dumpWeights struct {
	Rows []dumpRow `xml:"weights"`
}

type dumpRow struct {
	Weights []float64 `xml:"weight"`
}

type dumpIDs struct {
	IDs []int32 `xml:"id"`
}

// xmlArg is a DumpArg as the XML has it.
type xmlArg struct {
	Bucket    int32        `xml:"bucket_id"`
	WeightSet *dumpWeights `xml:"weight_set"`
	IDs       *dumpIDs     `xml:"ids"`
}

func (a DumpArg) xml() xmlArg {
	x := xmlArg{Bucket: a.Bucket}
	if len(a.WeightSet) > 0 {
		x.WeightSet = &dumpWeights{}
		for _, row := range a.WeightSet {
			x.WeightSet.Rows = append(x.WeightSet.Rows, dumpRow{row})
		}
	}
	if len(a.IDs) > 0 {
		x.IDs = &dumpIDs{a.IDs}
	}
	return x
}

func (x xmlArg) arg() DumpArg {
	a := DumpArg{Bucket: x.Bucket}
	if x.WeightSet != nil {
		for _, row := range x.WeightSet.Rows {
			a.WeightSet = append(a.WeightSet, row.Weights)
		}
	}
	if x.IDs != nil {
		a.IDs = x.IDs.IDs
	}
	return a
}

// MarshalXML writes an element for each set that is called by its index. That is
// no name XML allows, but what Ceph writes.
func (a DumpArgs) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	type sets struct {
		Inner string `xml:",innerxml"`
	}
	var all sets
	for _, set := range a {
		args := struct {
			XMLName xml.Name `xml:"set"`
			Args    []xmlArg `xml:"choose_args"`
		}{}
		for _, arg := range set.Args {
			args.Args = append(args.Args, arg.xml())
		}
		p, err := xml.Marshal(args)
		if err != nil {
			return err
		}
		name := strconv.FormatInt(set.Index, 10)
		all.Inner += "<" + name + string(p[len("<set"):len(p)-len("</set>")]) + "</" + name + ">"
	}
	return e.EncodeElement(all, start)
}
