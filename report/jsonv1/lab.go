package jsonv1

// The schemas of the lab.
const (
	LabSchema     = "tcpvet/lab/v1"
	LabListSchema = "tcpvet/lab-list/v1"
)

// Lab is the document of tcpvet/lab/v1: what came of scenarios.
type Lab struct {
	Schema    string        `json:"schema"`
	Scenarios []LabScenario `json:"scenarios"`
}

// LabScenario is what came of one scenario. Lists are never null.
type LabScenario struct {
	Scenario     string   `json:"scenario"`
	Source       *string  `json:"source"` // of the looks; null where nothing was looked at
	Expected     []string `json:"expected"`
	Found        []string `json:"found"`
	RulesSkipped []string `json:"rules_skipped"`
	Mismatches   []string `json:"mismatches"` // in words; none where all was as expected
	Skipped      *string  `json:"skipped"`    // why it was not staged
	Error        *string  `json:"error"`      // how staging failed
	Seconds      *float64 `json:"seconds"`
}

// LabList is the document of tcpvet/lab-list/v1: the scenarios that there are.
type LabList struct {
	Schema    string     `json:"schema"`
	Scenarios []LabEntry `json:"scenarios"`
}

// LabEntry is a scenario.
type LabEntry struct {
	Scenario string    `json:"scenario"`
	Title    string    `json:"title"`
	Stages   string    `json:"stages"` // the claim or fact that it stages
	Expected []string  `json:"expected"`
	Needs    []LabNeed `json:"needs"`
}

// LabNeed is what a scenario needs of the machine.
type LabNeed struct {
	Need   string  `json:"need"`
	Met    bool    `json:"met"`
	Reason *string `json:"reason"` // why it is not met
}
