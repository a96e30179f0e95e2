// Verifies what the ledger shows with nothing of ours: signed notes by golang.org/x/mod/sumdb/note, cosignatures by
// transparency-dev/formats, inclusion and consistency by transparency-dev/merkle. Reads one JSON object, prints what held.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"

	formats "github.com/transparency-dev/formats/log"
	cosignature "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
)

type inclusion struct {
	LeafIndex uint64   `json:"leaf_index"`
	TreeSize  uint64   `json:"tree_size"`
	Leaf      []byte   `json:"leaf"`
	AuditPath [][]byte `json:"audit_path"`
}

type question struct {
	Vkeys   []string `json:"vkeys"`
	Witness string   `json:"witness"`
	Origin  string   `json:"origin"`
	Proof   struct {
		Log struct {
			inclusion
			Checkpoint string `json:"checkpoint"`
		} `json:"log"`
		Evidence *struct {
			inclusion
			Root []byte `json:"root"`
		} `json:"evidence"`
	} `json:"proof"`
	Growth struct {
		Old  string   `json:"old"`
		New  string   `json:"new"`
		Path [][]byte `json:"consistency_path"`
	} `json:"growth"`
	Cosigned string `json:"cosigned"`
}

func try[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "refused:", err)
		os.Exit(1)
	}
}

// checkpoint opens a note with the members' keys and parses its text; how many different members signed it.
func (q *question) checkpoint(signed string, verifiers ...note.Verifier) (formats.Checkpoint, int) {
	opened := try(note.Open([]byte(signed), note.VerifierList(verifiers...)))
	if len(opened.UnverifiedSigs) > 0 {
		check(fmt.Errorf("%d signatures of unknown keys", len(opened.UnverifiedSigs)))
	}
	var parsed formats.Checkpoint
	try(parsed.Unmarshal([]byte(opened.Text)))
	if parsed.Origin != q.Origin {
		check(fmt.Errorf("origin %q", parsed.Origin))
	}
	return parsed, len(opened.Sigs)
}

func main() {
	var q question
	check(json.NewDecoder(os.Stdin).Decode(&q))
	var members []note.Verifier
	for _, vkey := range q.Vkeys {
		members = append(members, try(note.NewVerifier(vkey)))
	}

	tree, signers := q.checkpoint(q.Proof.Log.Checkpoint, members...)
	log := q.Proof.Log.inclusion
	check(proof.VerifyInclusion(rfc6962.DefaultHasher, log.LeafIndex, tree.Size, rfc6962.DefaultHasher.HashLeaf(log.Leaf), log.AuditPath, tree.Hash))
	fmt.Println("leaf", log.LeafIndex, "of", tree.Size, "signed by", signers)
	if below := q.Proof.Evidence; below != nil {
		if !bytes.Equal(below.Root, log.Leaf[18:50]) {
			check(fmt.Errorf("the leaf names another evidence root"))
		}
		check(proof.VerifyInclusion(rfc6962.DefaultHasher, below.LeafIndex, below.TreeSize, rfc6962.DefaultHasher.HashLeaf(below.Leaf), below.AuditPath, below.Root))
		fmt.Println("reading", below.LeafIndex, "of", below.TreeSize)
	}

	before, _ := q.checkpoint(q.Growth.Old, members...)
	after, _ := q.checkpoint(q.Growth.New, members...)
	check(proof.VerifyConsistency(rfc6962.DefaultHasher, before.Size, after.Size, q.Growth.Path, before.Hash, after.Hash))
	fmt.Println("grew from", before.Size, "to", after.Size)

	witness := try(cosignature.NewVerifierForCosignatureV1(q.Witness))
	seen, all := q.checkpoint(q.Cosigned, append(members, witness)...)
	opened := try(note.Open([]byte(q.Cosigned), note.VerifierList(witness)))
	at := try(cosignature.CoSigV1Timestamp(opened.Sigs[0]))
	fmt.Println("size", seen.Size, "cosigned at", at.Unix(), "beside", all-1)
}
