------------------------------ MODULE Committee ------------------------------
(* One height of the committee's agreement, with one lying member of four; docs/exhaustive.md says how it is run.
   Names are those of consensus/core. What was said stays said: any member may hear it at any later time, or never.
   The liar says whatever it likes, so what it says is not kept: it counts wherever a message of it would help. *)
EXTENDS Integers, FiniteSets

CONSTANTS Liar, Views, Values

Members == 0..3
Correct == Members \ {Liar}
Quorum == 3
None == "none"

VARIABLES view, changing, said
state == <<view, changing, said>>

Primary(v) == v % 4
Vote(kind, m, v, d) == [kind |-> kind, member |-> m, view |-> v, digest |-> d]
Said(kind, m, v, d) == m = Liar \/ Vote(kind, m, v, d) \in said
SaidAny(kind, m, v) == \E d \in Values : Vote(kind, m, v, d) \in said

(* A prepared certificate can be made: the primary's pre-prepare, and 2f prepares of others. *)
CanBePrepared(v, d) ==
  /\ Said("pre_prepare", Primary(v), v, d)
  /\ Cardinality({m \in Members \ {Primary(v)} : Said("prepare", m, v, d)}) >= Quorum - 1

Certificates(v) == {<<w, d>> \in (0..(v - 1)) \X Values : CanBePrepared(w, d)}

(* The certificate of the highest view that a correct member shows; -1 for none. *)
Newest(certificates) ==
  IF certificates = {} THEN <<-1, None>>
  ELSE CHOOSE c \in certificates : \A other \in certificates : other[1] <= c[1]
Own(m) == Newest({<<w, d>> \in (0..(Views - 1)) \X Values : Vote("commit", m, w, d) \in said})

(* What a new view can begin with: the newest certificate of 2f + 1 view changes. *)
Plans(v) ==
  LET left == {m \in Correct : \E c \in said : c.kind = "view_change" /\ c.member = m /\ c.view = v}
      shown(m) == (CHOOSE c \in said : c.kind = "view_change" /\ c.member = m /\ c.view = v).digest
      liars == Certificates(v) \cup {<<-1, None>>}
  IN {Newest({shown(m) : m \in three})[2] : three \in {s \in SUBSET left : Cardinality(s) = Quorum}}
     \cup {Newest({shown(m) : m \in two} \cup {c})[2] :
             two \in {s \in SUBSET left : Cardinality(s) = Quorum - 1}, c \in liars}

Init == view = [m \in Correct |-> 0] /\ changing = [m \in Correct |-> FALSE] /\ said = {}

Say(messages) == said' = said \cup messages
In(m, v) == view[m] = v /\ ~changing[m]
Votes(m, v, d, kind) == In(m, v) /\ Say({Vote(kind, m, v, d)}) /\ UNCHANGED <<view, changing>>

Propose(m, v, d) == Primary(v) = m /\ ~SaidAny("pre_prepare", m, v) /\ Votes(m, v, d, "pre_prepare")

Prepare(m, v, d) ==
  /\ Primary(v) # m /\ ~SaidAny("prepare", m, v)
  /\ Said("pre_prepare", Primary(v), v, d)
  /\ Votes(m, v, d, "prepare")

Commit(m, v, d) ==
  /\ Said(IF Primary(v) = m THEN "pre_prepare" ELSE "prepare", m, v, d)
  /\ CanBePrepared(v, d)
  /\ Votes(m, v, d, "commit")

Leave(m) ==
  /\ view[m] + 1 < Views
  /\ view' = [view EXCEPT ![m] = @ + 1] /\ changing' = [changing EXCEPT ![m] = TRUE]
  /\ Say({[kind |-> "view_change", member |-> m, view |-> view[m] + 1, digest |-> Own(m)]})

Enter(m, v) ==
  /\ view[m] = v /\ changing[m] /\ changing' = [changing EXCEPT ![m] = FALSE]
  /\ UNCHANGED view

Open(m, v, d) ==
  /\ Primary(v) = m /\ d \in Plans(v) /\ Enter(m, v)
  /\ Say({Vote("new_view", m, v, d)} \cup (IF d = None THEN {} ELSE {Vote("pre_prepare", m, v, d)}))

Follow(m, v, d) ==
  /\ Primary(v) # m
  /\ IF Primary(v) = Liar THEN d \in Plans(v) ELSE Vote("new_view", Primary(v), v, d) \in said
  /\ Enter(m, v)
  /\ Say(IF d = None THEN {} ELSE {Vote("prepare", m, v, d)})

Next == \E m \in Correct :
  \/ Leave(m)
  \/ \E v \in 0..(Views - 1) :
       \/ \E d \in Values : Propose(m, v, d) \/ Prepare(m, v, d) \/ Commit(m, v, d)
       \/ \E d \in Values \cup {None} : Open(m, v, d) \/ Follow(m, v, d)

Spec == Init /\ [][Next]_state

(* The properties of consensus/exhaustive/checks.py. *)
OneCertificate == \A v \in 0..(Views - 1) : \A c, d \in Values : CanBePrepared(v, c) /\ CanBePrepared(v, d) => c = d

MayBeCommitted(v, d) == Cardinality({m \in Correct : Vote("commit", m, v, d) \in said}) >= 2

CertificatesSurvive ==
  \A v, w \in 0..(Views - 1) : \A c, d \in Values : MayBeCommitted(v, c) /\ w > v /\ CanBePrepared(w, d) => c = d
==============================================================================
