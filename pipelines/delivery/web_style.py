"""How the page looks: a style sheet on top of Gradio's, for light and dark, for wide and narrow windows."""

CSS = """
.title .html-container, .summary .html-container { padding: 0; }
.title h1 { font-size: 1.3rem !important; font-weight: 600; margin: 0 !important; }
.tabitem { padding-top: 0.5rem !important; }
.note { opacity: 0.75; font-size: 0.85rem; margin: 0.4rem 0; }
.problem { border-left: 4px solid #b2182b; padding: 0.5rem 0.8rem; margin: 0.4rem 0;
  background: rgba(178, 24, 43, 0.08); overflow-wrap: anywhere; }
.answer { font-size: 1.3rem; font-weight: 600; line-height: 1.35; margin: 0.2rem 0; overflow-wrap: anywhere; }
.bars { margin: 0.6rem 0; }
.bar { display: grid; grid-template-columns: minmax(5rem, max-content) 1fr 4rem; gap: 0.6rem; align-items: center;
  margin: 0.2rem 0; }
.bar i { display: block; height: 0.8rem; min-width: 2px; border-radius: 2px; background: rgb(117, 112, 179); }
.bar b { font-weight: 400; text-align: right; font-variant-numeric: tabular-nums; }
.pieces { line-height: 1.9; overflow-wrap: anywhere; }
.pieces span { padding: 0.12rem 0; border-radius: 2px; }
.ranking { margin: 0.4rem 0 0.8rem 1.4rem; list-style: decimal; }
.ranking small { opacity: 0.75; margin-left: 0.4rem; }
.wide { overflow-x: auto; max-width: 100%; padding-bottom: 0.4rem; }
.shown table, .shown tr, .shown td, .shown th { border: 0; }
.alignment { border-collapse: collapse; width: auto; margin: 0; }
.alignment td, .alignment th { padding: 0; font-weight: 400; font-size: 0.85rem; }
.shown .alignment td { min-width: 1.5rem; height: 1.5rem; border: 1px solid var(--border-color-primary); }
.shown .alignment tr:first-child td { border: 0; }
.alignment tr:first-child th { vertical-align: bottom; }
.alignment tr:first-child th span { writing-mode: vertical-rl; transform: rotate(180deg); padding: 0.2rem 0;
  line-height: 1.5rem; }
.alignment tr th:first-child { position: sticky; left: 0; text-align: right; padding-right: 0.5rem;
  white-space: nowrap; background: var(--body-background-fill); }
.timeline { position: relative; min-width: 100%; }
.timeline img { display: block; width: 100%; height: 180px; margin: 0; }
.timeline .words { position: relative; height: 1.9rem; }
.timeline .words span { position: absolute; top: 0; height: 1.7rem; line-height: 1.7rem; min-width: max-content;
  padding: 0 0.15rem; text-align: center; white-space: nowrap; border-radius: 2px; }
.timeline .marks { position: relative; height: 1.2rem; overflow: hidden; }
.timeline .marks i { position: absolute; white-space: nowrap; font-style: normal; font-size: 0.75rem;
  padding-left: 0.2rem; border-left: 1px solid var(--border-color-primary); opacity: 0.75; }
.times { border-collapse: collapse; margin: 0.6rem 0; font-variant-numeric: tabular-nums; }
.times td, .times th { padding: 0.15rem 0.9rem 0.15rem 0; text-align: left; font-weight: 400; }
.times th { opacity: 0.75; font-size: 0.85rem; }
.caption { font-size: 1.05rem; line-height: 1.9; }
.caption span, .caption mark { padding: 0.1rem 0.25rem; border-radius: 3px; }
.caption mark { background: rgb(117, 112, 179); color: white; }
.look { position: relative; max-width: 30rem; }
.look img { display: block; width: 100%; margin: 0; }
.look .shade { position: absolute; inset: 0; height: 100%; }
@media (max-width: 480px) {
  .gradio-container > .main, .gradio-container .fillable { padding: 0.8rem !important; }
  .tab-container button { padding: 0 0.45rem !important; font-size: 0.8rem !important; }
}
"""
