"""How the page of `diffagent ui` looks: one style sheet, for wide and narrow screens, light and dark."""

STYLE = """
.gradio-container { width: 100% !important; max-width: 1180px !important; margin: 0 auto !important;
  padding: 12px !important; }
.gradio-container .main, .gradio-container main, .gradio-container .wrap { padding: 0 !important; }
.gradio-container .html-container, .gradio-container .prose { padding: 0 !important; }
.da-head h1 { font-size: 1.35rem; margin: 0; font-weight: 700; }
.da-head p { margin: 2px 0 0; }
.da-dim, .da-card p.da-dim { color: color-mix(in srgb, var(--body-text-color) 82%, transparent); }
/* the scroll bar of a reversed column stays at the newest line */
.da-log { display: flex; flex-direction: column-reverse; max-height: 46vh; overflow-y: auto; padding: 4px; }
.da-lines { display: flex; flex-direction: column; gap: 10px; }
.da-lines > div { border-radius: 12px; padding: 8px 12px; max-width: 88%; overflow-wrap: anywhere; }
.da-lines p { margin: 0; white-space: pre-wrap; }
.da-you { align-self: flex-end; background: var(--primary-600); color: #fff; }
.da-you p { color: #fff; }
.da-bot { align-self: flex-start; background: var(--background-fill-secondary);
  border: 1px solid var(--border-color-primary); }
.da-bot.da-failed { border-color: #d97706; border-left-width: 4px; }
.gradio-container .da-bot ul { list-style: none !important; margin: 0 0 4px !important;
  padding: 0 !important; display: flex; flex-wrap: wrap; gap: 4px; }
.da-bot li { margin: 0; }
.da-chip { display: inline-block; border: 1px solid var(--border-color-primary); border-radius: 999px;
  padding: 1px 9px; font-size: .85rem; background: var(--background-fill-primary); overflow-wrap: anywhere; }
.gradio-container .da-chips { list-style: none !important; margin: 2px 0 !important; padding: 0 !important;
  display: flex; flex-wrap: wrap;
  gap: 4px; }
.gradio-container .da-chips li { margin: 0; }
.da-dot { display: inline-block; width: .8em; height: .8em; border-radius: 50%; margin-right: 5px;
  border: 1px solid color-mix(in srgb, var(--body-text-color) 45%, transparent); vertical-align: -1px; }
.gradio-container .da-samples { list-style: none !important; margin: 0 !important; padding: 0 !important;
  display: grid; gap: 8px;
  grid-template-columns: repeat(auto-fill, minmax(120px, 1fr)); }
.gradio-container .da-samples li { margin: 0; }
.da-samples img { width: 100%; height: auto; border-radius: 8px; display: block; }
.da-card { border: 1px solid var(--border-color-primary); border-radius: 12px; padding: 12px 14px;
  background: var(--background-fill-primary); overflow-wrap: anywhere; }
.da-card.da-weak { border: 2px dashed #d97706; }
.da-card h2 { font-size: 1.25rem; margin: 0 0 2px; }
.da-card h3 { font-size: 1rem; margin: 10px 0 2px; }
.da-card h3:first-child { margin-top: 0; }
.da-card p { margin: 3px 0; }
.da-card ul { margin: 2px 0; padding-left: 20px; }
.da-card li { margin: 2px 0; }
.da-card a { color: var(--link-text-color); text-decoration: underline; margin: 0; padding: 0; }
.dark .da-card a { color: #93c5fd; }
.gradio-container button.primary { background: var(--primary-700) !important; }
.gradio-container button[role="tab"][aria-selected="true"] { color: var(--primary-700) !important; }
.dark .gradio-container button[role="tab"][aria-selected="true"] { color: #a5b4fc !important; }
.da-fit { display: inline-block; border-radius: 999px; padding: 1px 10px; font-weight: 600; }
.da-fit.da-strong { background: #166534; color: #fff; }
.da-fit.da-fair { background: #1e40af; color: #fff; }
.da-fit.da-weak { background: #fef3c7; color: #78350f; border: 1px dashed #b45309; }
.da-prompt { background: var(--background-fill-secondary); border-radius: 8px; padding: 6px 10px;
  max-height: 12em; overflow-y: auto; }
.da-prompt mark { background: #fde68a; color: #1f2937; border-radius: 3px; padding: 0 2px; }
.da-note { border-left: 4px solid #d97706; padding-left: 8px; }
.da-done { border-left: 4px solid #16a34a; padding: 2px 0 2px 10px; margin: 0; }
textarea::placeholder { color: color-mix(in srgb, var(--body-text-color) 68%, transparent) !important; }
/* the light colours of code are too pale to read */
body:not(.dark) .cm-content span { color: inherit !important; }
.da-empty { padding: 4px 2px; }
.da-empty p { margin: 0 0 6px; }
.da-alt { align-items: center !important; gap: 8px !important; flex-wrap: nowrap !important; }
.da-alt > :first-child { flex: 1 1 auto !important; min-width: 0 !important; }
.da-alt button { flex: 0 0 auto !important; }
.da-stop:not(:has(button)) { display: none !important; }
.da-quick, .da-take { gap: 6px !important; flex-wrap: wrap !important; }
.da-quick button, .da-take button { flex: 0 1 auto !important; min-width: 0 !important; white-space: normal; }
.da-examples { display: grid !important; gap: 8px !important;
  grid-template-columns: repeat(auto-fit, minmax(min(300px, 100%), 1fr)); }
.da-examples button { white-space: normal; text-align: left; justify-content: flex-start;
  min-width: 0 !important; font-weight: 500 !important; }
.gradio-container button { min-height: 36px; }
:focus-visible { outline: 2px solid var(--primary-500) !important; outline-offset: 1px; }
textarea:focus-visible, input:focus-visible { outline-offset: -2px; }
@media (max-width: 640px) {
  .gradio-container { padding: 6px !important; }
  .da-log { max-height: 34vh; }
  .da-alt { flex-direction: column; align-items: stretch !important; }
  .da-card { padding: 10px; }
}
@media (prefers-reduced-motion: reduce) { * { animation: none !important; transition: none !important; } }
"""
